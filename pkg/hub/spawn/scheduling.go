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
// they name the label that all of them have.
func (s Scheduling) put(pod *corev1.PodSpec) {
	pod.SchedulerName, pod.PriorityClassName = s.Scheduler, s.PriorityClass
	servers := &metav1.LabelSelector{MatchLabels: map[string]string{contract.LabelComponent: contract.ComponentServer}}
	switch s.Neighbours {
	case Indifferent:
	case Apart:
		pod.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: servers,
		}}
	case Together:
		pod.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight: 100, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: servers},
		}}}}
	}
}
