package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/up/apt"
)

// upPackages is what building and starting the platform needs from Debian; onenode
// installs its own list.
func upPackages() []string { return []string{"mmdebstrap", "python3", "python3-pip"} }

// testPackages is what the tests need besides: a directory server, a browser, and a
// font in which the Chinese pages can be read on the screenshots.
func testPackages() []string {
	return []string{"slapd", "ldap-utils", "chromium", "fonts-dejavu-core", "fonts-wqy-zenhei"}
}

// deps installs everything that the tests need: packages, and the Envoy binary that
// test/dataplane starts.
func (u *up) deps(ctx context.Context) error {
	if err := u.step(ctx, "Debian packages", "", func(ctx context.Context, log *os.File) (string, error) {
		return install(ctx, log, slices.Concat(upPackages(), testPackages()))
	}); err != nil {
		return err
	}
	return u.step(ctx, "Envoy", "", func(ctx context.Context, log *os.File) (string, error) {
		cmd := exec.CommandContext(ctx, "go", "run", ".", "envoy")
		cmd.Dir = filepath.Join(u.root, "deploy/images")
		cmd.Stderr = log
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	})
}

func install(ctx context.Context, log *os.File, packages []string) (string, error) {
	installed, err := apt.Install(ctx, log, packages)
	if err != nil || len(installed) == 0 {
		return "nothing missing", err
	}
	return fmt.Sprintf("installed %s", strings.Join(installed, " ")), nil
}
