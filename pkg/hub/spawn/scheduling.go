package spawn

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Scheduling is what pods say to the scheduler that gives them nodes.
type Scheduling struct {
	// Scheduler is the name of the scheduler; "" is the cluster's own.
	Scheduler string `yaml:"scheduler"`
	// PriorityClass is whose place servers take when there is no room; "" takes nobody's.
	PriorityClass string     `yaml:"priorityClass"`
	Neighbours    Neighbours `yaml:"neighbours"`
}

// Neighbours says which of two nodes is the better one for a server, if both have room for it.
type Neighbours string

// Neighbours that servers may want.
const (
	Indifferent Neighbours = ""
	Apart       Neighbours = "apart"    // the node with fewer servers
	Together    Neighbours = "together" // the node with more servers
)

// IsKnown reports whether n is one of the constants.
func (n Neighbours) IsKnown() bool { return n == Indifferent || n == Apart || n == Together }

// put writes s into a pod. Neighbours are wishes and no rules: with a rule, servers would wait while
// other nodes have room. Kubernetes finds the pods to spread by their owner, and servers have none, so
// they name labels. Servers are kept apart from those of their own size: when small and large ones start
// in turn, and all are counted alike, all large ones come to the same node.
func (s Scheduling) put(pod *corev1.Pod) {
	size := sizeOf(pod)
	pod.Labels[contract.LabelSize] = size
	pod.Spec.SchedulerName, pod.Spec.PriorityClassName = s.Scheduler, s.PriorityClass
	servers := &metav1.LabelSelector{MatchLabels: map[string]string{contract.LabelComponent: contract.ComponentServer}}
	switch s.Neighbours {
	case Indifferent:
	case Apart:
		servers.MatchLabels[contract.LabelSize] = size
		pod.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: servers,
		}}
	case Together:
		pod.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: servers},
		}}}}
	}
}

// sizeOf is the value of contract.LabelSize: what a pod requests, such as 100m-256Mi.
func sizeOf(pod *corev1.Pod) string {
	of := pod.Spec.Containers[0].Resources
	amount := func(name corev1.ResourceName) string {
		q, ok := of.Requests[name]
		if !ok { // Kubernetes fills it in
			q = of.Limits[name]
		}
		return q.String()
	}
	return amount(corev1.ResourceCPU) + "-" + amount(corev1.ResourceMemory)
}
