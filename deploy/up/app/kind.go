package app

import (
	"context"
	"fmt"
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
	if there, err := k.exists(context.Background()); err != nil || there {
		return err // its own port forwarder listens
	}
	return portsFree()
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
			config := filepath.Join(k.up.root, "deploy/kind/cluster.yaml")
			return "the kind cluster is up", k.up.command(ctx, log, "", "kind", "create", "cluster", "--name", kindName, "--config", config, "--wait", "3m").Run()
		},
	}
}

func (k *kindCluster) load(images []output.Image) step {
	return step{name: "load", do: func(ctx context.Context, log *stepLog) (string, error) {
		for _, image := range images {
			if err := k.up.command(ctx, log, "", "kind", "load", "image-archive", "--name", kindName, image.Archive).Run(); err != nil {
				return "", fmt.Errorf("load %s: %w", image.Name, err)
			}
		}
		return fmt.Sprintf("%d images are on the node", len(images)), nil
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
