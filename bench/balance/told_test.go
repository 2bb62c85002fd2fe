package main

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTold: a user whose server was given a node that is away reads first that there is one, and then
// that it does not answer.
func TestTold(t *testing.T) {
	now := time.Now()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now)},
		Spec:       corev1.PodSpec{NodeName: "worker-03", Containers: []corev1.Container{{Name: "notebook"}}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)},
		}},
	}
	for after, want := range map[time.Duration]string{0: "Found a node", silence: "does not answer. Start the server again"} {
		if got, err := told(pod, now.Add(after)); err != nil || !strings.Contains(got, want) {
			t.Errorf("after %s: %q, %v", after, got, err)
		}
	}
}
