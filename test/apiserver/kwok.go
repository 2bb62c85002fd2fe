package apiserver

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/perijove/perijove/test/repo"
)

//go:embed stages.yaml
var stages []byte

// BuildKwok builds the pinned kwok (https://kwok.sigs.k8s.io), a program that plays kubelet for all
// nodes, and returns where it is. Call it before netns.Main: inside nothing can be downloaded.
func BuildKwok() (string, error) {
	root, err := repo.Find()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	path := filepath.Join(cache, "perijove", "kwok")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-modfile=tools/go.mod", "-o", path, "sigs.k8s.io/kwok/cmd/kwok")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build kwok: %w: %s", err, out)
	}
	return path, nil
}

// Nodes that kwok plays, for KwokFlags.
const (
	AllNodes = "--manage-all-nodes"
	// Present are nodes without LabelVanished.
	Present = "--manage-nodes-with-label-selector=!" + LabelVanished
	// LabelVanished on a node makes kwok forget it: its heartbeat ends, and nothing becomes of its pods.
	LabelVanished = "kwok-vanished"
)

// KwokFlags writes what kwok lets become of pods and nodes to a file, and returns kwok's flags for
// the cluster of kubeconfig. The addresses of pods are of podNetwork.
func KwokFlags(file, kubeconfig, podNetwork, nodes string) ([]string, error) {
	if err := os.WriteFile(file, stages, 0o600); err != nil {
		return nil, fmt.Errorf("write kwok's stages: %w", err)
	}
	return []string{"--kubeconfig=" + kubeconfig, "--config=" + file, "--cidr=" + podNetwork, nodes, "--v=WARN"}, nil
}
