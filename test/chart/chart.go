package chart

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/test/repo"
)

// Helm builds the pinned helm into folder and returns its path. Flags are those of `make up`, so that
// what one has compiled the other finds in Go's cache.
func Helm(folder string) (string, error) {
	root, err := repo.Find()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(folder, "helm")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-modfile=tools/go.mod", "-o", binary, "helm.sh/helm/v4/cmd/helm")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build helm: %w\n%s", err, out)
	}
	return binary, nil
}

// Template runs `helm template` for a release in a namespace of its own name. Files among args are
// looked for in the chart's folder. problem is what helm printed beside the objects.
func Template(helm, release string, args ...string) (out, problem string, err error) {
	root, err := repo.Find()
	if err != nil {
		return "", "", err
	}
	cmd := exec.Command(helm, append([]string{"template", release, ".", "--namespace", release, "--kube-version", "1.36.0"}, args...)...)
	cmd.Dir = filepath.Join(root, "deploy", "chart")
	var printed, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &failed
	err = cmd.Run()
	return printed.String(), failed.String(), err
}

// Decode returns the objects of one kind in what Template printed.
func Decode[T any](out, kind string) ([]T, error) {
	var all []T
	for document := range strings.SplitSeq(out, "\n---\n") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			return nil, fmt.Errorf("read an object: %w", err)
		}
		if head.Kind != kind {
			continue
		}
		var object T
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("read a %s: %w", kind, err)
		}
		all = append(all, object)
	}
	return all, nil
}
