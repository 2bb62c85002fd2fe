package shares

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Amount is of a node what it has, and of pods what they request.
type Amount struct {
	Cores  float64
	Memory float64 // bytes
}

// Requests is what a pod's containers request together.
func Requests(pod *corev1.Pod) (sum Amount) {
	for _, c := range pod.Spec.Containers {
		sum.Cores += c.Resources.Requests.Cpu().AsApproximateFloat64()
		sum.Memory += c.Resources.Requests.Memory().AsApproximateFloat64()
	}
	return sum
}

// Share is how much of a node's processors and memory is taken, from 0 to 1.
type Share struct{ CPU, Memory float64 }

// Node is one node with what is on it.
type Node struct {
	Has, Taken Amount
	Pods       int
	// Closed nodes take no new pods: they are cordoned, or away. They count in no difference.
	Closed bool
}

// Share is the node's.
func (n Node) Share() Share {
	return Share{n.Taken.Cores / n.Has.Cores, n.Taken.Memory / n.Has.Memory}
}

// Nodes are those of a cluster, by name.
type Nodes map[string]*Node

// Add adds an empty node. One without processors or memory is refused: no share of it is a number.
func (all Nodes) Add(name string, has Amount) error {
	if !(has.Cores > 0) || !(has.Memory > 0) {
		return fmt.Errorf("node %s has %v cores and %v bytes", name, has.Cores, has.Memory)
	}
	all[name] = &Node{Has: has}
	return nil
}

// Place puts a pod on a node.
func (all Nodes) Place(name string, requests Amount) error {
	n, ok := all[name]
	if !ok {
		return fmt.Errorf("node %q is not known", name)
	}
	n.Pods++
	n.Taken.Cores += requests.Cores
	n.Taken.Memory += requests.Memory
	return nil
}

// Difference is how much the fullest open node is ahead of the emptiest.
type Difference struct {
	Pods  int
	Share Share
}

// Most is the larger of two differences, each part for itself.
func (d Difference) Most(other Difference) Difference {
	return Difference{max(d.Pods, other.Pods), Share{max(d.Share.CPU, other.Share.CPU), max(d.Share.Memory, other.Share.Memory)}}
}

// Range is the emptiest and the fullest of the open nodes, each part for itself.
type Range struct {
	Least, Most         Share
	LeastPods, MostPods int
}

// Difference is the range's width.
func (r Range) Difference() Difference {
	return Difference{r.MostPods - r.LeastPods, Share{r.Most.CPU - r.Least.CPU, r.Most.Memory - r.Least.Memory}}
}

// ErrNone says that there is no open node, so that nothing can differ.
var ErrNone = errors.New("no node is open")

// Range returns the range of the open nodes; ErrNone when there are none.
func (all Nodes) Range() (r Range, err error) {
	first := true
	for _, n := range all {
		if n.Closed {
			continue
		}
		s := n.Share()
		if first {
			r, first = Range{s, s, n.Pods, n.Pods}, false
			continue
		}
		r.Least = Share{min(r.Least.CPU, s.CPU), min(r.Least.Memory, s.Memory)}
		r.Most = Share{max(r.Most.CPU, s.CPU), max(r.Most.Memory, s.Memory)}
		r.LeastPods, r.MostPods = min(r.LeastPods, n.Pods), max(r.MostPods, n.Pods)
	}
	if first {
		return r, ErrNone
	}
	return r, nil
}
