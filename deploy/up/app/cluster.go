package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

// cluster is a place to install the platform on.
type cluster interface {
	// describe says in a few words which one it is.
	describe() string
	// check reports what stands in the way, before anything is built.
	check() error
	// start makes the cluster run; nothing happens when it does.
	start() step
	// nodes lists the nodes of a cluster that start has made.
	nodes(ctx context.Context) ([]node, error)
	// load gives it the images.
	load(images []output.Image) step
	// kubeconfig returns the path of a file whose current context is this cluster.
	kubeconfig(ctx context.Context) (string, error)
	// values is the chart's values file for this kind of cluster, in deploy/up.
	values() string
	// remove takes the platform away, and the cluster too if start made it.
	remove() step
	// hints are lines that tell the reader how to reach it.
	hints(kubeconfig string) []string
}

// node is one node of a cluster on this machine.
type node struct {
	name    string
	address string // where this machine reaches the ports of its pods, "" when it does not
	kubelet string // its kubelet's root folder, "" when that is not known
}

// wantedNodes reads NODES; 0 when it is not set.
func (u *up) wantedNodes() (int, error) {
	if u.nodes == "" {
		return 0, nil
	}
	count, err := layout.ParseNodes(u.nodes)
	if err != nil {
		return 0, fmt.Errorf("NODES: %w", err)
	}
	return count, nil
}

// choose picks the cluster: the context that was named, else kind where Docker runs,
// else a node of our own on this machine.
func (u *up) choose(ctx context.Context) cluster {
	if u.context != "" {
		return &contextCluster{up: u}
	}
	if dockerRuns(ctx) && found("kind") {
		return &kindCluster{up: u}
	}
	return &onenode{up: u}
}

// dockerRuns reports whether a Docker engine answers; the client alone does not count.
func dockerRuns(ctx context.Context) bool {
	return exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").Run() == nil
}

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

var errNotRoot = errors.New(`this needs root: without a cluster to use, make up starts a Kubernetes node on this
machine, which takes containers, cgroups, mounts, network interfaces and Debian
packages. Either

  sudo --preserve-env=PATH make up

or use a cluster that needs no root:

  make up                                  when Docker runs here and kind is installed
                                           (https://kind.sigs.k8s.io)
  make up CONTEXT=my-context REGISTRY=…    with any context of your kubeconfig, and a
                                           registry that it pulls from`)

// needRoot is the check of the way that runs a node here.
func needRoot() error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	return nil
}
