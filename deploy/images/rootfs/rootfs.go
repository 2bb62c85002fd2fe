package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
)

// mergedUsr makes /bin, /lib and /sbin links into /usr before the first package is
// unpacked, as Debian 12 expects.
const mergedUsr = "/usr/share/mmdebstrap/hooks/merged-usr"

// Unpack unpacks packages of a Debian release, with what they depend on, into the
// folder root. It needs root, for the owners of the files.
func Unpack(ctx context.Context, log io.Writer, suite, root string, packages []string) error {
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=extract", "--hook-dir="+mergedUsr,
		"--include="+strings.Join(packages, ","), suite, root)
	cmd.Stdout, cmd.Stderr = log, log
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("mmdebstrap is missing; run: make deps")
	}
	if err != nil {
		return fmt.Errorf("unpack Debian packages with mmdebstrap: %w", err)
	}
	return nil
}

// Run runs a program of the folder root in it, named by its absolute path there, with
// an environment of its own: the caller's settings and secrets are none of the image's
// business.
func Run(ctx context.Context, log io.Writer, root, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s %s in the image's files: %w", program, strings.Join(args, " "), err)
	}
	return nil
}
