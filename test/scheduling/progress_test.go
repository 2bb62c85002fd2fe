package scheduling

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// TestTheProgressPageSaysWhy: of a cluster without nodes and of one without a free core, users read
// what is missing, by the words of the scheduler that the chart installs and of no other. When there is
// a node with room the server has it.
func TestTheProgressPageSaysWhy(t *testing.T) {
	for _, release := range []string{"spread", "pack", "weights"} {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t, release)
			pod := w.create(w.pod("waits", lab()))
			w.says(pod, spawn.MsgNoNode, nil)
			full := w.node("full", room("4", "8Gi"))
			all := lab()
			all.Override.CPUGuarantee = "4"
			other := w.pod("other", all, on(full))
			other.Spec.Priority, other.Spec.SchedulerName = nil, ""
			other.Spec.NodeName = full // before any scheduler sees the node
			w.create(other)
			w.says(pod, spawn.MsgNoCores, map[string]string{"Need": "1", "Resource": "cpu"})
			free := w.node("free", paper())
			if got := w.placed(pod); got != free {
				t.Errorf("the server is on %s", got)
			}
		})
	}
}

// says waits until a pod's last step is a message.
func (w *world) says(pod *corev1.Pod, want spawn.Message, data map[string]string) {
	w.t.Helper()
	var step spawn.Step
	if !poll(func() bool {
		got, err := w.client.CoreV1().Pods(pod.Namespace).Get(w.t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		step = spawn.StatusOf(got, nil, time.Now(), time.Hour).Now()
		return step.Message == want && step.Data["Need"] == data["Need"] && step.Data["Resource"] == data["Resource"]
	}) {
		w.t.Fatalf("the page says %s %v (%s), want %s", step.Message, step.Data, step.Detail, want)
	}
}
