package host

import (
	"os/exec"
	"slices"
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
