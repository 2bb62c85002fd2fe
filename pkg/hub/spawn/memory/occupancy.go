package memory

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/occupancy"
)

// SetNodes gives the cluster nodes, and what was written down of the last day.
func (c *Cluster) SetNodes(h occupancy.History, nodes ...*corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history, c.nodes = h, nodes
}

// History returns how many servers ran over the last day, as SetNodes says.
func (c *Cluster) History(context.Context) (occupancy.History, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.history, nil
}

// Nodes returns what servers are promised of each node.
func (c *Cluster) Nodes(context.Context) ([]occupancy.Node, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pods []*corev1.Pod
	for _, pod := range c.pods {
		pods = append(pods, pod)
	}
	return occupancy.Nodes(c.nodes, pods), nil
}
