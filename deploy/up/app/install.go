package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/machine/gobuild"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

const (
	release   = "perijove"
	namespace = "perijove"
	servers   = namespace + "-servers" // where people's servers are
)

// helm returns the pinned helm (tools/go.mod), built when needed. The first time takes long enough to say how far it is.
func (u *up) helm(ctx context.Context, log *stepLog) (string, error) {
	binary := filepath.Join(u.cache, "bin", "helm")
	build := gobuild.Build{Dir: u.root, Modfile: "tools/go.mod", Out: binary, Packages: []string{"helm.sh/helm/v4/cmd/helm"}}
	_, err := os.Stat(binary)
	if err == nil {
		err = build.Quick(ctx, log)
	} else {
		err = build.Run(ctx, log, log.say)
	}
	if err != nil {
		return "", fmt.Errorf("build helm: %w", err)
	}
	return binary, nil
}

// install puts the chart onto the cluster, with the images that were built.
func (u *up) install(on cluster, kubeconfig string, images []output.Image, nodes []node) step {
	return step{
		name:   "chart",
		advice: "see what the pods say: " + strings.Join(on.hints(kubeconfig), " && "),
		do: func(ctx context.Context, log *stepLog) (string, error) {
			helm, err := u.helm(ctx, log)
			if err != nil {
				return "", err
			}
			values, err := imageValues(images)
			if err != nil {
				return "", err
			}
			file := filepath.Join(u.cache, "images.values.yaml")
			if err := os.WriteFile(file, values, 0o644); err != nil {
				return "", fmt.Errorf("write the images' values: %w", err)
			}
			flags := []string{"--kubeconfig", kubeconfig, "--namespace", namespace}
			if err := u.unlock(ctx, log, helm, flags); err != nil {
				return "", err
			}
			// Conflicts: what somebody scaled by hand, or a test that was killed, stands in the way of another number of nodes.
			args := append([]string{"upgrade", release, filepath.Join(u.root, "deploy/chart"), "--install", "--create-namespace",
				"--force-conflicts", "--wait", "--timeout", "5m", "--values", file, "--values", filepath.Join(u.root, "deploy/up", on.values())}, flags...)
			perNode, err := nodeValues(nodes)
			if err != nil {
				return "", err
			}
			args = append(args, perNode...)
			return "all pods are ready", u.command(ctx, log, "", helm, args...).Run()
		},
	}
}

// nodeValues asks for more than one of what may be there several times, where that is of use: on two nodes or more. Each node has a gateway, which is reached at
// the node's own port, so the first node's at the machine's. On one node a second gateway would find the port taken.
func nodeValues(nodes []node) ([]string, error) {
	homes, err := homesValues(nodes)
	if err != nil || len(nodes) < 2 {
		return homes, err
	}
	hosts := []string{"127.0.0.1:8000"} // as in local.values.yaml
	for _, n := range nodes {
		if n.address != "" && n.address != "localhost" {
			hosts = append(hosts, n.address+":8000")
		}
	}
	return append(homes, "--set", fmt.Sprintf("gateway.replicas=%d,spawner.replicas=2,extraHosts={%s}", len(nodes), strings.Join(hosts, ","))), nil
}

// homesValues turns the driver of late homes on where each node's kubelet is known. Each has a root folder of its own.
func homesValues(nodes []node) ([]string, error) {
	var groups []map[string]any
	for _, n := range nodes {
		if n.kubelet == "" {
			return nil, nil
		}
		groups = append(groups, map[string]any{"kubeletRoot": n.kubelet, "nodeSelector": map[string]string{"kubernetes.io/hostname": n.name}})
	}
	if len(groups) == 0 {
		return nil, nil
	}
	volumes := layout.Layout{State: layout.DefaultState}.Volumes()
	nodesText, err := json.Marshal(groups)
	if err != nil {
		return nil, fmt.Errorf("values of homes: %w", err)
	}
	// Key by key: homes as a whole would take the place of its image, which is in a file of values.
	return []string{
		"--set", "homes.enabled=true,homes.exports[0].name=local,homes.exports[0].path=" + volumes,
		"--set-json", "homes.nodes=" + string(nodesText),
	}, nil
}

// unlock clears up after a helm that was killed in the middle: its release stays
// "pending", and every later helm refuses to touch it.
func (u *up) unlock(ctx context.Context, log io.Writer, helm string, flags []string) error {
	cmd := u.command(ctx, log, "", helm, append([]string{"status", release, "--output", "json"}, flags...)...)
	cmd.Stdout = nil
	out, err := cmd.Output()
	if err != nil {
		return nil // no release yet; the upgrade will say if anything else is wrong
	}
	args, err := unlockArgs(out)
	if err != nil || args == nil {
		return err
	}
	if err := u.command(ctx, log, "", helm, append(args, flags...)...).Run(); err != nil {
		return fmt.Errorf("clear up after an interrupted installation: %w", err)
	}
	return nil
}

// unlockArgs says how to end the pending state that `helm status -o json` shows; nil
// when there is none. Nothing is lost: the chart's Secrets are kept.
func unlockArgs(status []byte) ([]string, error) {
	var state struct {
		Version int
		Info    struct{ Status string }
	}
	if err := json.NewDecoder(bytes.NewReader(status)).Decode(&state); err != nil {
		return nil, fmt.Errorf("read helm's status: %w", err)
	}
	switch {
	case !strings.HasPrefix(state.Info.Status, "pending-"):
		return nil, nil
	case state.Version <= 1:
		return []string{"uninstall", release, "--wait"}, nil
	}
	return []string{"rollback", release}, nil
}

// imagePaths says which value of the chart each image is for.
func imagePaths() map[string][]string {
	return map[string][]string{
		"envoy":      {"gateway", "envoy", "image"},
		"xds-server": {"gateway", "xdsServer", "image"},
		"authz":      {"gateway", "authz", "image"},
		"spawner":    {"spawner", "image"},
		"homes":      {"homes", "image"},
		"assets":     {"assets", "image"},
		"notebook":   {"singleuser", "image"},
		"directory":  {"devDirectory", "image"},
		"provider":   {"devProvider", "image"},
	}
}

// imageValues writes the chart's values for the images.
func imageValues(images []output.Image) ([]byte, error) {
	values := map[string]any{}
	for _, image := range images {
		path, known := imagePaths()[filepath.Base(image.Name)]
		if !known {
			return nil, fmt.Errorf("the chart has no value for the image %s", image.Name)
		}
		at := values
		for _, key := range path {
			below, ok := at[key].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[key] = below
			}
			at = below
		}
		at["name"], at["tag"] = image.Name, image.Tag
	}
	text, err := yaml.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("write values: %w", err)
	}
	return text, nil
}
