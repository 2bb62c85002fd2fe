package apt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// policyPath is where Debian's invoke-rc.d asks whether a package's daemon may be
// started (policy-rc.d in Debian's init-system-helpers); exit status 101 means no.
const policyPath = "/usr/sbin/policy-rc.d"

const refuseDaemons = "#!/bin/sh\nexit 101\n"

// Missing returns those packages that are not installed, in their order.
func Missing(ctx context.Context, packages []string) ([]string, error) {
	query := exec.CommandContext(ctx, "dpkg-query", append([]string{"-W", "-f=${db:Status-Status} ${Package}\n"}, packages...)...)
	// dpkg-query exits 1 when it knows nothing of one of them; the rest is still printed.
	out, err := query.Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		return nil, fmt.Errorf("ask dpkg-query which packages are installed (this needs Debian or Ubuntu): %w", err)
	}
	return missing(string(out), packages), nil
}

// missing compares dpkg-query's "status name" lines with what is wanted.
func missing(status string, packages []string) []string {
	installed := map[string]bool{}
	for line := range strings.Lines(status) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "installed "); ok {
			installed[name] = true
		}
	}
	var out []string
	for _, name := range packages {
		if !installed[name] {
			out = append(out, name)
		}
	}
	return out
}

// Install installs the missing ones of packages without asking questions and returns
// their names. What apt-get prints goes to log. The package lists are refreshed only when
// the first try fails: a fresh machine has none, on any other it costs seconds.
func Install(ctx context.Context, log io.Writer, packages []string) ([]string, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, fmt.Errorf("this machine has no apt-get: install %s, or what brings the same programs, with its own package manager, then run the same again", strings.Join(packages, ", "))
	}
	wanted, err := Missing(ctx, packages)
	if err != nil || len(wanted) == 0 {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("installing packages needs root; run: sudo apt-get install %s", strings.Join(wanted, " "))
	}
	restore, err := forbidDaemons(policyPath)
	if err != nil {
		return nil, err
	}
	defer restore()
	install := append([]string{"install", "--yes", "--no-install-recommends"}, wanted...)
	if err := run(ctx, log, install...); err == nil {
		return wanted, nil
	}
	if err := run(ctx, log, "update"); err != nil {
		return nil, err
	}
	return wanted, run(ctx, log, install...)
}

// forbidDaemons keeps package scripts from starting daemons (Debian's slapd would take
// port 389) until the returned function is called. A policy that the machine's owner
// has written stays as it is.
func forbidDaemons(path string) (restore func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("forbid daemons while packages are installed: %w", err)
	}
	restore = func() { os.Remove(path) }
	_, err = file.WriteString(refuseDaemons)
	if err := errors.Join(err, file.Close()); err != nil {
		restore()
		return nil, fmt.Errorf("forbid daemons while packages are installed: %w", err)
	}
	return restore, nil
}

// run runs apt-get, waiting up to five minutes for another one to finish.
func run(ctx context.Context, log io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"--quiet", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w", args[0], err)
	}
	return nil
}
