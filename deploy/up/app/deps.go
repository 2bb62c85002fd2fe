package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/machine/apt"
)

// upPackages lists the Debian packages that building and starting the platform needs;
// onenode installs its own.
func upPackages(uid int) []string {
	names := []string{"mmdebstrap", "debian-archive-keyring", "python3", "python3-pip"}
	if uid != 0 {
		names = append(names, "uidmap") // see asRoot
	}
	if !found("npm") {
		names = append(names, "npm") // for the development provider; Node may be here without Debian
	}
	return names
}

// testPackages lists those that the tests need besides: a directory server, a browser, a font in
// which the Chinese pages can be read on the screenshots, `ip` for network namespaces
// and `pkill` for killing a service (a minimal Debian has neither), and the load
// generators and the instruction counter of the benchmarks. The race detector needs a C compiler.
func testPackages() []string {
	return []string{"slapd", "ldap-utils", "chromium", "fonts-dejavu-core", "fonts-wqy-zenhei", "python3-venv", "iproute2", "procps", "strace", "gcc", "libc6-dev", "wrk", "nghttp2-client", "apache2-utils", "valgrind"}
}

// deps installs everything that the tests need: packages, and what test/dataplane
// starts, the Envoy binary and the development provider.
func (u *up) deps(ctx context.Context) error {
	if err := u.run(ctx, u.packages(slices.Concat(upPackages(os.Geteuid()), testPackages()))); err != nil {
		return err
	}
	if err := u.run(ctx, u.fetched("envoy")); err != nil {
		return err
	}
	return u.run(ctx, u.fetched("provider"))
}

// fetched has the image builder fetch something that is also needed outside of images.
func (u *up) fetched(what string) step {
	return step{name: what, do: func(ctx context.Context, log *stepLog) (string, error) {
		builder, err := u.build(ctx, log, "images", "./deploy/images")
		if err != nil {
			return "", err
		}
		cmd := u.command(ctx, log, u.root, builder, what)
		cmd.Stdout = nil
		out, err := cmd.Output()
		return strings.TrimSpace(string(out)), err
	}}
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
