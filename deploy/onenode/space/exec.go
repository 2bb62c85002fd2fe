package space

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Mounts is a view of the machine's files for one program.
type Mounts struct {
	State    string // folder whose mounts, other nodes' containers and volumes, are left out of the view: else they would live on in it after their end
	Share    string // folder below State whose mounts the machine sees, and those of the machine the program: see ShareMounts
	From, At string // folder From is seen at the place of folder At
}

// Exec replaces this process by the program args[0], in the network namespace that file holds and, if mounts is not nil, with that view of the machine's files.
// It returns only if that fails.
func Exec(file string, mounts *Mounts, args, environment []string) error {
	runtime.LockOSThread() // execve(2) keeps the namespaces of the thread that calls it
	if err := enterNetwork(file); err != nil {
		return err
	}
	if mounts != nil {
		if err := mounts.enter(); err != nil {
			return err
		}
	}
	if err := unix.Exec(args[0], args, environment); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	return nil
}

func (m Mounts) enter() error {
	for _, folder := range []string{m.From, m.At} {
		if err := os.MkdirAll(folder, 0o750); err != nil {
			return fmt.Errorf("own mounts: %w", err)
		}
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("own mounts: %w", err)
	}
	points, err := mountPoints()
	if err != nil {
		return err
	}
	slices.Reverse(points) // what is mounted last lies on top
	for _, point := range points {
		if within(point, m.Share) {
			continue
		}
		// A mount of the machine must still end here when it ends there, and none of ours may appear there.
		if err := ignoreMissing(unix.Mount("", point, "", unix.MS_SLAVE, "")); err != nil {
			return fmt.Errorf("own mounts: %s: %w", point, err)
		}
		if within(point, m.State) && !within(m.Share, point) {
			if err := ignoreMissing(unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)); err != nil {
				return fmt.Errorf("own mounts: leave out %s: %w", point, err)
			}
		}
	}
	if err := unix.Mount(m.From, m.At, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("own mounts: show %s as %s: %w", m.From, m.At, err)
	}
	return nil
}

// mountPoints lists the mount points that the calling thread sees.
func mountPoints() ([]string, error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return MountPoints(string(text)), nil
}

// MountPoints lists the mount points in the text of a mountinfo (proc_pid_mountinfo(5)), in the order in which they were mounted. The kernel writes blank, tab,
// newline and backslash as octal escapes.
func MountPoints(mountinfo string) []string {
	escapes := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 {
			points = append(points, escapes.Replace(fields[4]))
		}
	}
	return points
}

// within reports whether path is folder or lies in it.
func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
