package rig

import (
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/nodes"
)

// StartNodes runs simulated nodes, in a process of their own.
func (r *Rig) StartNodes(k *Kube, pace nodes.Pace) (*Proc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p, err := r.start("nodes", []string{envRole + "=nodes"}, self, pace.Args(k.Kubeconfig)...)
	if err != nil {
		return nil, err
	}
	return p, p.wait("they listen", 20*time.Second, nodes.Listening)
}
