package spawn

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/server"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 21, 8, 30, 0, 0, time.UTC)
	answers := func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{Condition(pod, true), {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
	}
	for _, c := range []struct {
		name   string
		change func(*corev1.Pod)
		after  time.Duration
		want   Action
	}{
		{"just created", func(*corev1.Pod) {}, 0, Finish},
		{"its secret is missing", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = waiting("CreateContainerConfigError", `secret "server-alice-abcdefghij" not found`)
		}, 0, Finish},
		{"answers", answers, time.Hour, Nothing},
		{"being deleted", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: began} }, 0, Await},
		{"being deleted while it answers", func(p *corev1.Pod) { answers(p); p.DeletionTimestamp = &metav1.Time{Time: began} }, 0, Await},
		{"no image", func(p *corev1.Pod) { p.Status.ContainerStatuses = waiting("ErrImagePull", "") }, 0, Replace},
		{"evicted", func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" }, 0, Replace},
		{"ended as asked", func(p *corev1.Pod) { answers(p); p.Status.Phase = corev1.PodSucceeded }, 0, Replace},
		{"reached its age", func(p *corev1.Pod) {
			answers(p)
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "DeadlineExceeded"
		}, 0, Replace},
		{"about to reach its age", func(p *corev1.Pod) {
			answers(p)
			p.Spec.ActiveDeadlineSeconds, p.Status.StartTime = new(int64(60)), &metav1.Time{Time: began}
		}, time.Minute, Replace},
		{"in time", func(*corev1.Pod) {}, time.Minute, Finish},
		{"too late", func(*corev1.Pod) {}, time.Minute + time.Second, Replace},
	} {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce})
		pod.CreationTimestamp = metav1.NewTime(began)
		c.change(pod)
		if got := Plan(pod, nil, began.Add(c.after), time.Minute); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := Plan(nil, nil, began, time.Minute); got != Create {
		t.Errorf("no pod: %s", got)
	}
}

func waiting(reason, message string) []corev1.ContainerStatus {
	return []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
	}}}
}
