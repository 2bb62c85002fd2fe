package occupancy

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Node is what servers are promised of a node.
type Node struct {
	Name string
	// Ready says that the node takes part; Closed that no new server gets there.
	Ready, Closed bool
	Servers       int
	// Waiting are the pods of pools on it that are nobody's server yet.
	Waiting     int
	CPU, Memory Share // thousandths of a core, bytes
}

// Share is a part of what there is.
type Share struct{ Requested, Allocatable int64 }

// Nodes returns what pods, which are servers or wait to be ones, request of each node, sorted by name. Other pods of a
// node are not in it.
func Nodes(nodes []*corev1.Node, pods []*corev1.Pod) []Node {
	all := make([]Node, len(nodes))
	index := map[string]int{}
	for i, n := range nodes {
		all[i] = Node{Name: n.Name, Closed: n.Spec.Unschedulable, Ready: ready(n)}
		all[i].CPU.Allocatable = n.Status.Allocatable.Cpu().MilliValue()
		all[i].Memory.Allocatable = n.Status.Allocatable.Memory().Value()
		index[n.Name] = i
	}
	for _, pod := range pods {
		i, known := index[pod.Spec.NodeName]
		if !known || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if pod.Labels[contract.LabelComponent] == contract.ComponentPool {
			all[i].Waiting++
		} else {
			all[i].Servers++
		}
		for _, c := range pod.Spec.Containers {
			all[i].CPU.Requested += c.Resources.Requests.Cpu().MilliValue()
			all[i].Memory.Requested += c.Resources.Requests.Memory().Value()
		}
	}
	slices.SortFunc(all, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func ready(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
