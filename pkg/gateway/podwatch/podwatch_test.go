package podwatch

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
)

// heard is a sink that records its calls.
type heard []string

func (h *heard) Wants(pod *corev1.Pod) bool    { return pod.Labels[contract.LabelUsername] != "foreign" }
func (h *heard) Set(pod *corev1.Pod)           { *h = append(*h, "set "+pod.Name) }
func (h *heard) Delete(namespace, name string) { *h = append(*h, "delete "+name) }

func pod(name string) any {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}}
}

// A watch that was lost may have missed anything: a pod that the next list does not name is
// gone, and every pod that it names is handed over again.
func TestListAfterALostWatchWithdrawsWhatVanished(t *testing.T) {
	var sink heard
	f := &feed{sink: &sink, known: map[cache.ObjectName]struct{}{}, complete: make(chan struct{})}
	for _, step := range []struct {
		do   func() error
		want []string
	}{
		{func() error { return f.Replace([]any{pod("a"), pod("b")}, "1") }, []string{"set a", "set b"}},
		{func() error { return f.Add(pod("c")) }, []string{"set c"}},
		{func() error { return f.Update(pod("a")) }, []string{"set a"}},
		{func() error { return f.Delete(pod("b")) }, []string{"delete b"}},
		{func() error { return f.Replace([]any{pod("c"), pod("d")}, "9") }, []string{"set c", "set d", "delete a"}},
		{func() error { return f.Replace(nil, "10") }, []string{"delete c", "delete d"}},
	} {
		sink = nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(step.want)
		if slices.Sort(sink); !slices.Equal(sink, step.want) {
			t.Errorf("the sink heard %v, want %v", sink, step.want)
		}
	}
	<-f.complete
}

func TestOneStrangeObjectHarmsNoPod(t *testing.T) {
	var sink heard
	f := &feed{sink: &sink, known: map[cache.ObjectName]struct{}{}, complete: make(chan struct{})}
	if err := f.Replace([]any{pod("a"), &corev1.Node{}, pod("b")}, "1"); err == nil {
		t.Error("a Node among the pods is no fault")
	}
	if !slices.Equal(sink, []string{"set a", "set b"}) {
		t.Errorf("the sink heard %v, want both pods", sink)
	}
}

// The fields that podmeta reads must survive the trimming, or pods lose their routes.
func TestTrimKeepsWhatRoutingReads(t *testing.T) {
	whole := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "p", UID: "u", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "1"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec: corev1.PodSpec{
			HostNetwork: true, ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "g"}}, Volumes: []corev1.Volume{{Name: "v"}},
			Containers: []corev1.Container{{Image: "i", Ports: []corev1.ContainerPort{{Name: "notebook-port", ContainerPort: 1}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", HostIP: "10.0.0.2", Conditions: []corev1.PodCondition{{Type: corev1.PodReady}}},
	}
	want := whole.DeepCopy()
	want.ManagedFields, want.Spec.Volumes = nil, nil
	want.Spec.Containers[0].Image = ""
	got, err := (&feed{sink: new(heard)}).trim(whole)
	if err != nil {
		t.Fatal(err)
	}
	if got.(*corev1.Pod).String() != want.String() {
		t.Errorf("trimmed to %v, want %v", got, want)
	}
}

// Pods of other shards leave nothing but their names while a list comes in, and nothing after it.
func TestUnwantedPodsLeaveNothing(t *testing.T) {
	var sink heard
	f := &feed{sink: &sink, known: map[cache.ObjectName]struct{}{}, complete: make(chan struct{})}
	foreign := pod("a").(*corev1.Pod)
	foreign.Labels = map[string]string{contract.LabelUsername: "foreign"}
	trimmed, err := f.trim(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if _, whole := trimmed.(*corev1.Pod); whole {
		t.Error("a pod that nobody wants is kept whole while the list comes in")
	}
	if err := f.Replace([]any{pod("b"), trimmed}, "1"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sink, []string{"set b"}) || len(f.known) != 1 {
		t.Errorf("the sink heard %v, and %d names are kept", sink, len(f.known))
	}
}

// A pod that changes hands leaves the shard of its first owner.
func TestAPodLeavesWithItsOwner(t *testing.T) {
	var sink heard
	f := &feed{sink: &sink, known: map[cache.ObjectName]struct{}{}, complete: make(chan struct{})}
	given := pod("a").(*corev1.Pod)
	given.Labels = map[string]string{contract.LabelUsername: "foreign"}
	trimmed, err := f.trim(given.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []any{given, trimmed} {
		sink = nil
		for _, state := range []any{pod("a"), next} {
			if err := f.Add(state); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(sink, []string{"set a", "delete a"}) {
			t.Errorf("the sink heard %v", sink)
		}
	}
}
