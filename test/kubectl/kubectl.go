// Package kubectl finds the kubectl that tests run.
package kubectl

import (
	"os"
	"os/exec"
	"path/filepath"
)

// Path is the variable KUBECTL, or the program on the PATH, or the one that the one-node
// cluster brought.
func Path() string {
	if p := os.Getenv("KUBECTL"); p != "" {
		return p
	}
	if p, err := exec.LookPath("kubectl"); err == nil {
		return p
	}
	if cache, err := os.UserCacheDir(); err == nil {
		found, _ := filepath.Glob(filepath.Join(cache, "perijove", "onenode", "*", "bin", "kubectl"))
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	return "kubectl"
}
