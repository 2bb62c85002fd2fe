package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/machine/port"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

// onenode is the real Kubernetes that deploy/onenode runs on this machine.
type onenode struct {
	up      *up
	program string
}

func (o *onenode) describe() string { return "Kubernetes on this machine (deploy/onenode)" }

func (o *onenode) check() error {
	if _, err := o.up.wantedNodes(); err != nil {
		return err
	}
	if err := needRoot(); err != nil {
		return err
	}
	return portsFree()
}

// portsFree fails when a program of this machine listens where the platform shall be
// reached: Envoy, and the development provider. A node that is up already does not count:
// it forwards the ports without listening.
func portsFree() error {
	for _, number := range []int{8000, 8001} {
		holder, err := port.Find("/proc", number)
		if err != nil {
			return err
		}
		if holder != nil {
			return fmt.Errorf("port %d is taken by %s. Stop it, then run make up again", number, holder)
		}
	}
	return nil
}

// build compiles the program.
func (o *onenode) build(ctx context.Context, log io.Writer) (err error) {
	o.program, err = o.up.build(ctx, log, "onenode", "./deploy/onenode")
	return err
}

func (o *onenode) kubeconfig(ctx context.Context) (string, error) {
	if o.program == "" {
		if err := o.build(ctx, io.Discard); err != nil {
			return "", err
		}
	}
	path, err := exec.CommandContext(ctx, o.program, "kubeconfig").Output()
	if err != nil {
		return "", fmt.Errorf("ask onenode for its kubeconfig: %w", err)
	}
	return strings.TrimSpace(string(path)), nil
}

func (o *onenode) start() step {
	return step{
		name:   "node",
		advice: "the lines above name the part that failed and its log; make down && make up begins anew",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			if err := o.build(ctx, log); err != nil {
				return "", err
			}
			args := []string{"up"}
			if o.up.nodes != "" {
				args = []string{"--nodes", o.up.nodes, "up"}
			}
			return "Kubernetes is up", o.up.command(ctx, log.live(""), o.up.root, o.program, args...).Run()
		},
	}
}

// nodes asks the program, whose lines are NAME ADDRESS. Ports of pods on the first node are the machine's own.
func (o *onenode) nodes(ctx context.Context) ([]node, error) {
	out, err := exec.CommandContext(ctx, o.program, "nodes").Output()
	if err != nil {
		return nil, fmt.Errorf("ask onenode for its nodes: %w", err)
	}
	var nodes []node
	own := layout.Layout{State: layout.DefaultState}
	for line := range strings.Lines(string(out)) {
		name, address, _ := strings.Cut(strings.TrimSpace(line), " ")
		if len(nodes) == 0 {
			address = "localhost"
		}
		nodes = append(nodes, node{name: name, address: address, kubelet: own.Node(len(nodes) + 1).KubeletRoot()})
	}
	return nodes, nil
}

func (o *onenode) load(images []output.Image) step {
	return step{
		name:   "load",
		advice: "make down && make up begins anew",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			args := []string{"load"}
			for _, image := range images {
				args = append(args, image.Archive)
			}
			return fmt.Sprintf("%d images are on every node", len(images)), o.up.command(ctx, log, o.up.root, o.program, args...).Run()
		},
	}
}

func (o *onenode) values() string { return "local.values.yaml" }

func (o *onenode) remove() step {
	return step{
		name:   "down",
		advice: "the lines above say what could not be removed; running make down again is safe",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			if err := needRoot(); err != nil {
				return "", err
			}
			if err := o.build(ctx, log); err != nil {
				return "", err
			}
			note := "the node, its volumes and everything that it made on this machine are gone (builds stay in " + o.up.cache + ")"
			return note, o.up.command(ctx, log.live(""), "", o.program, "down").Run()
		},
	}
}

func (o *onenode) hints(kubeconfig string) []string {
	hints := []string{"export KUBECONFIG=" + kubeconfig}
	if kubectl, err := o.kubectl(); err == nil && !found("kubectl") {
		hints = append(hints, "export PATH=$PATH:"+filepath.Dir(kubectl))
	}
	return append(hints, "kubectl -n "+namespace+" get pods", "kubectl -n "+servers+" get pods")
}

// kubectl finds the one that was built with the node.
func (o *onenode) kubectl() (string, error) {
	binaries, err := filepath.Glob(filepath.Join(o.up.cache, "onenode/*/bin/kubectl"))
	if err != nil {
		return "", fmt.Errorf("look for kubectl: %w", err)
	}
	if len(binaries) == 0 {
		return "", errors.New("no kubectl was built")
	}
	return slices.MaxFunc(binaries, func(a, b string) int { return modified(a).Compare(modified(b)) }), nil
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
