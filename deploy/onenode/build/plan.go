package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/mod/modfile"
)

// programs maps the file below the bin folder to the package it is built from. Versions are go.mod's.
func programs() map[string]string {
	const (
		self       = "github.com/perijove/perijove/deploy/onenode/programs/"
		containerd = "github.com/containerd/containerd/v2/cmd/"
		cni        = "github.com/containernetworking/plugins/plugins/"
	)
	return map[string]string{
		"pause":                   self + "pause",
		"kube":                    self + "kube",
		"coredns":                 self + "coredns",
		"provisioner":             self + "provisioner",
		"deviceplugin":            self + "deviceplugin",
		"netpolicy":               self + "netpolicy",
		"etcd":                    "go.etcd.io/etcd/server/v3",
		"containerd":              containerd + "containerd",
		"containerd-shim-runc-v2": containerd + "containerd-shim-runc-v2",
		"ctr":                     containerd + "ctr",
		"cni/policy":              self + "policycni",
		"cni/bridge":              cni + "main/bridge",
		"cni/host-local":          cni + "ipam/host-local",
		"cni/portmap":             cni + "meta/portmap",
	}
}

// kubeNames are the names that programs/kube acts under.
func kubeNames() []string {
	return []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}
}

// linkFlags puts the versions that go.mod pins into the programs: built from modules they report v0.0.0, and Helm charts that ask for a least version of
// Kubernetes would refuse the cluster.
func linkFlags(gomod []byte) ([]string, error) {
	kubernetes, containerd, err := versions(gomod)
	if err != nil {
		return nil, err
	}
	numbers := strings.Split(strings.TrimPrefix(kubernetes, "v"), ".")
	flags := []string{"-X=github.com/containerd/containerd/v2/version.Version=" + containerd}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X="+pkg+".gitVersion="+kubernetes, "-X="+pkg+".gitMajor="+numbers[0], "-X="+pkg+".gitMinor="+numbers[1],
			"-X="+pkg+".gitCommit=", "-X="+pkg+".gitTreeState=")
	}
	return flags, nil
}

// versions are those that go.mod pins.
func versions(gomod []byte) (kubernetes, containerd string, err error) {
	parsed, err := modfile.Parse("go.mod", gomod, nil)
	if err != nil {
		return "", "", fmt.Errorf("read the versions: %w", err)
	}
	pinned := map[string]string{}
	for _, require := range parsed.Require {
		pinned[require.Mod.Path] = require.Mod.Version
	}
	kubernetes, containerd = pinned["k8s.io/kubernetes"], pinned["github.com/containerd/containerd/v2"]
	if strings.Count(kubernetes, ".") < 2 || containerd == "" {
		return "", "", errors.New("go.mod pins no version of k8s.io/kubernetes or containerd")
	}
	return kubernetes, containerd, nil
}

// builtName is the file name that `go build -o folder/` gives a package: its last element, or the one before it if that is a major version.
func builtName(pkg string) string {
	name := path.Base(pkg)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		return path.Base(path.Dir(pkg))
	}
	return name
}

// recipe is to be raised when Run makes something else of the same sources.
const recipe = "4"

// Key is the hash of all files in sources, tests aside, and of the recipe: the name of the build. It changes with any pinned version.
func Key(sources fs.FS) (string, error) {
	hash := sha256.New()
	fmt.Fprintln(hash, recipe)
	err := fs.WalkDir(sources, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := fs.ReadFile(sources, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %d\n", name, len(content))
		_, err = hash.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hash of the sources: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}
