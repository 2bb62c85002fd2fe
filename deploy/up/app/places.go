package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
)

// pod is what the reader is told of a pod.
type pod struct{ name, node string }

// places says which pod of the platform runs on which node, and how each gateway is reached; nothing when there is only one node.
func (u *up) places(ctx context.Context, kubeconfig string, nodes []node) (string, error) {
	if len(nodes) < 2 {
		return "", nil
	}
	kubectl, err := u.findKubectl()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, kubectl, "--kubeconfig", kubeconfig, "--namespace", namespace, "get", "pods", "--output", "json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask where the pods are: %w", err)
	}
	pods, err := readPods(out)
	if err != nil {
		return "", err
	}
	return table(pods, nodes), nil
}

// findKubectl prefers the one of this machine's node.
func (u *up) findKubectl() (string, error) {
	if found("kubectl") {
		return exec.LookPath("kubectl")
	}
	return (&onenode{up: u}).kubectl()
}

// readPods reads a list of pods and leaves out those that end.
func readPods(list []byte) ([]pod, error) {
	var pods struct {
		Items []struct {
			Metadata struct {
				Name              string
				DeletionTimestamp *string
			}
			Spec struct{ NodeName string }
		}
	}
	if err := json.Unmarshal(list, &pods); err != nil {
		return nil, fmt.Errorf("read the list of pods: %w", err)
	}
	var running []pod
	for _, item := range pods.Items {
		if item.Metadata.DeletionTimestamp == nil {
			running = append(running, pod{name: item.Metadata.Name, node: item.Spec.NodeName})
		}
	}
	return running, nil
}

// table lists the pods node by node.
func table(pods []pod, nodes []node) string {
	var text strings.Builder
	text.WriteString("\n")
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, n := range nodes {
		for _, p := range pods {
			if p.node != n.name {
				continue
			}
			reached := ""
			if strings.HasPrefix(p.name, release+"-gateway-") && n.address != "" {
				reached = "http://" + n.address + ":8000"
			}
			fmt.Fprintf(columns, "  %s\t%s\t%s\n", n.name, p.name, reached)
		}
	}
	_ = columns.Flush() // a builder takes all
	return text.String()
}
