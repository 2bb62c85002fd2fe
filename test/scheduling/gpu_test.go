package scheduling

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// TestGPUNodesAreForGPUs: a node with a GPU, tainted as vendors' guides have it, is for servers of profiles
// with GPUs and for no others, and a profile's node selector and tolerations say the rest.
func TestGPUNodesAreForGPUs(t *testing.T) {
	w := newWorld(t, "spread")
	has := paper()
	has["nvidia.com/gpu"] = resource.MustParse("1")
	gpus := w.node("gpus", has, func(n *corev1.Node) {
		n.Labels["pool"] = "gpu"
		n.Spec.Taints = []corev1.Taint{{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule}}
	})
	if why := w.refused(w.create(w.pod("plain", lab()))); reasons(why) != "0/1 nodes are available: 1 node(s) had untolerated taint(s)" {
		t.Errorf("a server without a GPU: %s", why)
	}
	gpu := lab()
	gpu.Override.NodeSelector = map[string]string{"pool": "gpu"}
	gpu.Override.ExtraResourceLimits = map[string]spawn.Amount{"nvidia.com/gpu": "1"}
	if got := w.placed(w.create(w.pod("gpu", gpu))); got != gpus {
		t.Errorf("a server with a GPU is on %s", got)
	}
	second := w.create(w.pod("second", gpu))
	w.says(second, spawn.MsgNoGPU, map[string]string{"Need": "1", "Resource": "nvidia.com/gpu"})
	own := w.node("own", paper(), func(n *corev1.Node) {
		n.Spec.Taints = []corev1.Taint{{Key: "course", Value: "physics", Effect: corev1.TaintEffectNoSchedule}}
	})
	course := lab()
	course.Override.Tolerations = []spawn.Toleration{{Key: "course", Value: "physics", Effect: "NoSchedule"}}
	if got := w.placed(w.create(w.pod("course", course))); got != own {
		t.Errorf("a server that tolerates the course's nodes is on %s", got)
	}
}
