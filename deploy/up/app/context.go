package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/perijove/perijove/deploy/images/output"
)

// contextCluster is one that is there already: a context of the user's kubeconfig.
type contextCluster struct {
	up *up
}

func (c *contextCluster) describe() string { return "the context " + c.up.context }

func (c *contextCluster) check() error {
	if c.up.nodes != "" {
		return errors.New("NODES is for the cluster that make up starts on this machine; the one of CONTEXT has the nodes that it has")
	}
	if c.up.registry == "" {
		return errors.New("CONTEXT needs REGISTRY as well: a registry that you may push to and that the cluster pulls from, such as REGISTRY=registry.example.org/team")
	}
	if !found("kubectl") {
		return errors.New("CONTEXT needs kubectl: https://kubernetes.io/docs/tasks/tools")
	}
	return nil
}

func (c *contextCluster) start() step {
	return step{
		name:   "node",
		advice: "look at the contexts that you have: kubectl config get-contexts",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			helm, err := c.up.helm(ctx, log)
			if err != nil {
				return "", err
			}
			return "the cluster answers", c.up.command(ctx, log, "", helm, "list", "--kube-context", c.up.context, "--namespace", namespace).Run()
		},
	}
}

func (c *contextCluster) load([]output.Image) step {
	return step{name: "load", do: func(context.Context, *stepLog) (string, error) {
		return "the cluster pulls from " + c.up.registry, nil
	}}
}

// kubeconfig copies the one context, so that no program with the file can reach another
// cluster by mistake.
func (c *contextCluster) kubeconfig(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "kubectl", "config", "view", "--context", c.up.context, "--minify", "--flatten").Output()
	if err != nil {
		return "", fmt.Errorf("read the context %s with kubectl: %w", c.up.context, err)
	}
	path := filepath.Join(c.up.cache, "context.kubeconfig")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		return "", fmt.Errorf("write the context's kubeconfig: %w", err)
	}
	return path, nil
}

// nodes tells none: how many replicas there are is a matter of that cluster's own values.
func (c *contextCluster) nodes(context.Context) ([]node, error) { return nil, nil }

func (c *contextCluster) values() string { return "context.values.yaml" }

func (c *contextCluster) remove() step {
	return step{
		name: "down",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			helm, err := c.up.helm(ctx, log)
			if err != nil {
				return "", err
			}
			note := "uninstalled; Secrets and home volumes are kept, and go with: kubectl --context " + c.up.context + " delete namespace " + namespace + " " + servers + " " + namespace + "-accounts"
			return note, c.up.command(ctx, log, "", helm, "uninstall", release, "--ignore-not-found", "--wait",
				"--kube-context", c.up.context, "--namespace", namespace).Run()
		},
	}
}

func (c *contextCluster) hints(string) []string {
	return []string{
		"kubectl --context " + c.up.context + " -n " + namespace + " get pods",
		"kubectl --context " + c.up.context + " -n " + servers + " get pods",
		"kubectl --context " + c.up.context + " -n " + namespace + " port-forward service/" + release + "-gateway 8000:80",
	}
}
