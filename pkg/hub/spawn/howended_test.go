package spawn

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/trail"
)

func TestHowEnded(t *testing.T) {
	t.Parallel()
	at := func(phase corev1.PodPhase, reason string) *corev1.Pod {
		pod := &corev1.Pod{Status: corev1.PodStatus{Phase: phase, Reason: reason}}
		pod.Annotations = map[string]string{}
		return pod
	}
	culled := at(corev1.PodFailed, reasonDeadline)
	culled.Annotations[contract.AnnotationCulled] = "1h0m0s"
	for _, c := range []struct {
		pod  *corev1.Pod
		want trail.What
	}{
		{nil, trail.Stopped},
		{at(corev1.PodRunning, ""), trail.Stopped},
		{at(corev1.PodPending, ""), trail.Stopped},
		{at(corev1.PodSucceeded, ""), trail.Ended},
		{at(corev1.PodFailed, "Evicted"), trail.Failed},
		{at(corev1.PodFailed, reasonDeadline), trail.Aged},
		{culled, trail.Culled},
	} {
		if got := HowEnded(c.pod); got != c.want {
			t.Errorf("%+v: %s, want %s", c.pod, got, c.want)
		}
	}
}
