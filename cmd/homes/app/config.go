package app

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"

	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/config"
)

// Config is the whole configuration of the driver.
type Config struct {
	// Node is this node's name. It is not in the file, which all nodes share: NODE_NAME of the environment.
	Node string `yaml:"-"`
	// KubeletRoot is the kubelet's root folder, which the pod has mounted at the same path.
	KubeletRoot string `yaml:"kubeletRoot"`
	// ExportsFolder holds a folder for each export.
	ExportsFolder string `yaml:"exportsFolder"`
	// Exports are what is mounted there.
	Exports []plan.Export `yaml:"exports"`
	// Kubernetes says where servers are.
	Kubernetes Kubernetes `yaml:"kubernetes"`
}

// Kubernetes says where pods are.
type Kubernetes struct {
	Kubeconfig string `yaml:"kubeconfig"` // empty = the pod's service account
	Namespace  string `yaml:"namespace"`
}

// Defaults returns the configuration that a file is read over.
func Defaults(node string) Config {
	return Config{Node: node, KubeletRoot: "/var/lib/kubelet", ExportsFolder: "/exports"}
}

var exportName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// Validate returns every fault at once, each with its key.
func (c Config) Validate() error {
	var f config.Faults
	f.Required(map[string]string{"kubernetes.namespace": c.Kubernetes.Namespace})
	f.Check(c.Node != "", "NODE_NAME", "is required in the environment")
	f.Check(clean(c.KubeletRoot), "kubeletRoot", "must be an absolute path without . and ..")
	f.Check(clean(c.ExportsFolder), "exportsFolder", "must be an absolute path without . and ..")
	f.Check(len(c.Exports) > 0, "exports", "needs at least one: without it no home can come")
	names := map[string]bool{}
	for i, e := range c.Exports {
		key := fmt.Sprintf("exports[%d].", i)
		f.Check(exportName.MatchString(e.Name) && !names[e.Name], key+"name", "must be a DNS label that no other export has")
		// The whole machine is no place for homes.
		f.Check(clean(e.Path), key+"path", "must be an absolute path without . and .., and not /")
		names[e.Name] = true
	}
	return f.Err()
}

func clean(folder string) bool {
	return path.IsAbs(folder) && path.Clean(folder) == folder && folder != "/"
}

// Main runs the driver; see run.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return run.Main(ctx, "homes", args, stderr, Defaults(os.Getenv("NODE_NAME")), Run)
}
