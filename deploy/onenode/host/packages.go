package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// needed maps a program that the parts call to the Debian package that brings it.
func needed() map[string]string {
	return map[string]string{"runc": "runc", "nft": "nftables", "mount": "mount"}
}

// Missing lists the Debian packages of programs that are not in PATH.
func Missing() []string {
	var packages []string
	for program, pkg := range needed() {
		if _, err := exec.LookPath(program); err != nil {
			packages = append(packages, pkg)
		}
	}
	slices.Sort(packages)
	return packages
}

// Install installs Debian packages. It refreshes the package lists only if the first try fails: a fresh machine has none, on any other it costs seconds.
func Install(ctx context.Context, packages []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine has no apt-get: install %s with its own package manager, then run `onenode up` again", strings.Join(packages, ", "))
	}
	install := append([]string{"install", "--yes", "--no-install-recommends"}, packages...)
	if _, err := apt(ctx, install...); err == nil {
		return nil
	}
	if out, err := apt(ctx, "update"); err != nil {
		return fmt.Errorf("apt-get update: %w\n%s", err, out)
	}
	if out, err := apt(ctx, install...); err != nil {
		return fmt.Errorf("apt-get install %s: %w\n%s", strings.Join(packages, " "), err, out)
	}
	return nil
}

func apt(ctx context.Context, args ...string) ([]byte, error) {
	// Another apt-get may run (unattended upgrades do on fresh machines): wait for its lock instead of failing.
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd.CombinedOutput()
}
