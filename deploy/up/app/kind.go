package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/images/output"
)

const kindName = "perijove"

// kindCluster is a cluster in Docker containers (https://kind.sigs.k8s.io).
type kindCluster struct {
	up *up
}

func (k *kindCluster) describe() string { return "kind, since Docker runs here" }

func (k *kindCluster) check() error {
	wanted, err := k.up.wantedNodes()
	if err != nil {
		return err
	}
	there, err := k.exists(context.Background())
	if err != nil {
		return err
	}
	if !there {
		return portsFree()
	}
	// Its own port forwarder listens.
	nodes, err := k.nodes(context.Background())
	if err == nil && wanted != 0 && wanted != len(nodes) {
		return fmt.Errorf("the kind cluster has %d nodes and kind can add or remove none: make down, then make up NODES=%d", len(nodes), wanted)
	}
	return err
}

func (k *kindCluster) exists(ctx context.Context) (bool, error) {
	out, err := k.up.command(ctx, nil, "", "kind", "get", "clusters").Output()
	if err != nil {
		return false, fmt.Errorf("ask kind for its clusters: %w", err)
	}
	return slices.Contains(strings.Fields(string(out)), kindName), nil
}

func (k *kindCluster) start() step {
	return step{
		name:   "node",
		advice: "kind's own help: https://kind.sigs.k8s.io/docs/user/known-issues",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			there, err := k.exists(ctx)
			if err != nil || there {
				return "the kind cluster is up", err
			}
			config, err := k.config()
			if err != nil {
				return "", err
			}
			return "the kind cluster is up", k.up.command(ctx, log, "", "kind", "create", "cluster", "--name", kindName, "--config", config, "--wait", "3m").Run()
		},
	}
}

// config writes kind's configuration: deploy/kind/cluster.yaml, and a worker for each node but the first.
func (k *kindCluster) config() (string, error) {
	count, err := k.up.wantedNodes()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(k.up.root, "deploy/kind/cluster.yaml"))
	if err != nil {
		return "", fmt.Errorf("read kind's configuration: %w", err)
	}
	path := filepath.Join(k.up.cache, "kind.yaml")
	if err := os.WriteFile(path, kindConfig(text, count), 0o644); err != nil {
		return "", fmt.Errorf("write kind's configuration: %w", err)
	}
	return path, nil
}

// kindConfig adds workers to a configuration whose last key is nodes.
func kindConfig(text []byte, count int) []byte {
	for range count - 1 {
		text = append(text, "  - role: worker\n"...)
	}
	return text
}

func (k *kindCluster) nodes(ctx context.Context) ([]node, error) {
	out, err := k.up.command(ctx, nil, "", "kind", "get", "nodes", "--name", kindName).Output()
	if err != nil {
		return nil, fmt.Errorf("ask kind for its nodes: %w", err)
	}
	return kindNodes(string(out)), nil
}

// kindNodes reads `kind get nodes`. The control plane is the one whose ports are the machine's.
func kindNodes(out string) []node {
	var nodes []node
	for _, name := range strings.Fields(out) {
		n := node{name: name}
		if name == kindName+"-control-plane" {
			n.address = "localhost"
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func (k *kindCluster) load(images []output.Image) step {
	return step{name: "load", do: func(ctx context.Context, log *stepLog) (string, error) {
		for _, image := range images {
			if err := k.up.command(ctx, log, "", "kind", "load", "image-archive", "--name", kindName, image.Archive).Run(); err != nil {
				return "", fmt.Errorf("load %s: %w", image.Name, err)
			}
		}
		return fmt.Sprintf("%d images are on every node", len(images)), nil
	}}
}

func (k *kindCluster) kubeconfig(ctx context.Context) (string, error) {
	path := filepath.Join(k.up.cache, "kind.kubeconfig")
	return path, k.up.command(ctx, nil, "", "kind", "export", "kubeconfig", "--name", kindName, "--kubeconfig", path).Run()
}

func (k *kindCluster) values() string { return "local.values.yaml" }

func (k *kindCluster) remove() step {
	return step{name: "down", do: func(ctx context.Context, log *stepLog) (string, error) {
		return "the kind cluster is gone", k.up.command(ctx, log, "", "kind", "delete", "cluster", "--name", kindName).Run()
	}}
}

func (k *kindCluster) hints(kubeconfig string) []string {
	return []string{"export KUBECONFIG=" + kubeconfig, "kubectl -n " + namespace + " get pods", "kubectl -n " + servers + " get pods"}
}
