package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/up/apt"
)

// upPackages is what building and starting the platform needs from Debian; onenode
// installs its own list.
func upPackages(uid int) []string {
	names := []string{"mmdebstrap", "debian-archive-keyring", "python3", "python3-pip"}
	if uid != 0 {
		names = append(names, "uidmap") // see asRoot
	}
	return names
}

// testPackages is what the tests need besides: a directory server, a browser, a font in
// which the Chinese pages can be read on the screenshots, `ip` for network namespaces
// and `pkill` for killing a service (a minimal Debian has neither).
func testPackages() []string {
	return []string{"slapd", "ldap-utils", "chromium", "fonts-dejavu-core", "fonts-wqy-zenhei", "python3-venv", "iproute2", "procps"}
}

// deps installs everything that the tests need: packages, and the Envoy binary that
// test/dataplane starts.
func (u *up) deps(ctx context.Context) error {
	if err := u.run(ctx, u.packages(slices.Concat(upPackages(os.Geteuid()), testPackages()))); err != nil {
		return err
	}
	return u.run(ctx, step{name: "envoy", do: func(ctx context.Context, log *stepLog) (string, error) {
		cmd := u.command(ctx, log, filepath.Join(u.root, "deploy/images"), "go", "run", ".", "envoy")
		cmd.Stdout = nil
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}})
}

func (u *up) packages(names []string) step {
	return step{
		name:   "packages",
		advice: "see whether apt-get works by hand: sudo apt-get update",
		do: func(ctx context.Context, log *stepLog) (string, error) {
			installed, err := apt.Install(ctx, log, names)
			if err != nil || len(installed) == 0 {
				return "nothing missing", err
			}
			return fmt.Sprintf("installed %s", strings.Join(installed, " ")), nil
		},
	}
}
