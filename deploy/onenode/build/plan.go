package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"
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
		"etcd":                    "go.etcd.io/etcd/server/v3",
		"containerd":              containerd + "containerd",
		"containerd-shim-runc-v2": containerd + "containerd-shim-runc-v2",
		"ctr":                     containerd + "ctr",
		"cni/bridge":              cni + "main/bridge",
		"cni/loopback":            cni + "main/loopback",
		"cni/host-local":          cni + "ipam/host-local",
		"cni/portmap":             cni + "meta/portmap",
	}
}

// kubeNames are the names that programs/kube acts under.
func kubeNames() []string {
	return []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl"}
}

// builtName is the file name that `go build -o folder/` gives a package: its last element, or the one before it if that is a major version.
func builtName(pkg string) string {
	name := path.Base(pkg)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		return path.Base(path.Dir(pkg))
	}
	return name
}

// Key is the hash of all files in sources: the name of the build. It changes with any pinned version.
func Key(sources fs.FS) (string, error) {
	hash := sha256.New()
	err := fs.WalkDir(sources, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
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
