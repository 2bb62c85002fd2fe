package occupancy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 9, 2, 0, 0, time.UTC)
	var h History
	for i := range 400 {
		at := now.Add(time.Duration(i) * Every)
		next, ok := h.With(i, at)
		if _, again := next.With(9, at.Add(time.Minute)); !ok || again || !h.Due(at) || next.Due(at.Add(2*time.Minute)) {
			t.Fatalf("sample %d: %v", i, ok)
		}
		h = next
	}
	if len(h) != int(Kept/Every)+1 || h[len(h)-1].Running != 399 || !h[0].At.Equal(h[len(h)-1].At.Add(-Kept)) {
		t.Errorf("%d samples from %v to %v", len(h), h[0], h[len(h)-1])
	}
	text, err := h.Encode()
	if err != nil || len(text) > 8<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	back, err := Parse(text)
	if diff := cmp.Diff(h, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
	// A clock that ran ahead: its samples go, and do not keep others away.
	ahead, _ := History{}.With(7, now.Add(time.Hour))
	if mended, ok := ahead.With(5, now); !ok || len(mended) != 1 || mended[0].Running != 5 {
		t.Errorf("after a clock that ran ahead: %v", mended)
	}
}

// TestNodes: what is promised to servers that are there.
func TestNodes(t *testing.T) {
	t.Parallel()
	node := func(name, cpu, memory string, ready corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
			Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)},
			Conditions:  []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}},
		}}
	}
	pod := func(on string, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Phase: phase}, Spec: corev1.PodSpec{NodeName: on, Containers: []corev1.Container{{
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("1Gi")}},
		}}}}
	}
	closed := node("b", "4", "8Gi", corev1.ConditionTrue)
	closed.Spec.Unschedulable = true
	idle := pod("b", corev1.PodRunning)
	idle.Labels = map[string]string{contract.LabelComponent: contract.ComponentPool}
	got := Nodes([]*corev1.Node{closed, node("a", "2", "4Gi", corev1.ConditionFalse)}, []*corev1.Pod{
		pod("b", corev1.PodRunning), pod("b", corev1.PodPending), pod("b", corev1.PodFailed), pod("", corev1.PodPending), pod("gone", corev1.PodRunning), idle,
	})
	want := []Node{
		{Name: "a", CPU: Share{0, 2000}, Memory: Share{0, 4 << 30}},
		{Name: "b", Ready: true, Closed: true, Servers: 2, Waiting: 1, CPU: Share{1500, 4000}, Memory: Share{3 << 30, 8 << 30}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzParse: nothing in the object is drawn that cannot be.
func FuzzParse(f *testing.F) {
	f.Add(`{"samples":[[1764147600,3],[1764147900,4]]}`)
	f.Add(`{"samples":[[1764147900,-1],[9223372036854775807,4],[1,2,3]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse([]byte(text))
		for i := range h {
			if err != nil || h[i].Running < 0 || len(h) > int(Kept/Every)+1 || i > 0 && !h[i-1].At.Before(h[i].At) {
				t.Errorf("%+v", h[i])
			}
		}
	})
}
