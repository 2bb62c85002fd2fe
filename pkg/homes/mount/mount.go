package mount

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/perijove/perijove/pkg/homes/plan"
)

// Home is an open folder below an export.
type Home struct {
	ID plan.Identity
	fd int
}

// Close lets go of the folder. What is mounted stays.
func (h *Home) Close() { _ = unix.Close(h.fd) }

// Open opens a place below the folder exports. Its name may hold no link and may lead neither out of the export nor onto
// another file system.
func Open(exports string, p plan.Place) (*Home, error) {
	root, err := unix.Open(filepath.Join(exports, p.Export), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open export %s: %w", p.Export, err)
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat2(root, p.Folder, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil, fmt.Errorf("open home %s of export %s: %w", p.Folder, p.Export, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("look at home %s: %w", p.Folder, err)
	}
	return &Home{ID: identity(stat), fd: fd}, nil
}

func identity(s unix.Stat_t) plan.Identity { return plan.Identity{Device: uint64(s.Dev), Inode: s.Ino} }

// Mounts lists what this process has mounted.
func Mounts() ([]plan.Mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return plan.ParseMounts(string(text))
}

// Look returns what is at a target. It does not touch what is mounted there: the server of a home may be away, and a
// pod must end all the same.
func Look(folder string) (plan.State, error) {
	mounts, err := Mounts()
	if err != nil {
		return plan.State{}, err
	}
	s := plan.State{Mounts: plan.At(mounts, folder)}
	if len(s.Mounts) > 0 {
		s.Folder = true
		return s, nil
	}
	info, err := os.Lstat(folder)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return s, nil
	case err != nil:
		return s, fmt.Errorf("look at the target: %w", err)
	case !info.IsDir():
		return s, fmt.Errorf("look at the target: %s is no folder", folder)
	}
	s.Folder = true
	return s, nil
}

// Identify says which folder is seen at a target. One that cannot be asked is like no other.
func Identify(folder string) plan.Identity {
	var stat unix.Stat_t
	if unix.Stat(folder, &stat) != nil {
		return plan.Identity{}
	}
	return identity(stat)
}

// Do makes one step at a target; home is for plan.BindHome.
func Do(step plan.Step, folder string, home *Home) error {
	if err := do(step, folder, home); err != nil {
		return fmt.Errorf("%s at %s: %w", step, folder, err)
	}
	return nil
}

func do(step plan.Step, folder string, home *Home) error {
	switch step {
	case plan.MakeFolder:
		return os.Mkdir(folder, 0o750)
	case plan.MountEmpty:
		const flags = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
		return unix.Mount(plan.EmptySource, folder, "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555")
	case plan.BindHome:
		return bind(home, folder)
	case plan.Unmount:
		// Detached at once, even if a process still has a file open in it, or its server does not answer.
		return unix.Unmount(folder, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	case plan.RemoveFolder:
		// rmdir(2) and nothing like os.RemoveAll: it removes nothing that has a file in it.
		return unix.Rmdir(folder)
	}
	return errors.New("there is no such step")
}

// bind mounts the open folder on top of the target, and nothing that is mounted inside it. The mount gets its options
// before it has a place: no process sees it without them.
func bind(home *Home, target string) error {
	if home == nil {
		return errors.New("no home is open")
	}
	tree, err := unix.OpenTree(home.fd, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer func() { _ = unix.Close(tree) }()
	// Private: a mount in the export's own folder must not appear in a pod. It becomes shared by its place.
	options := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &options); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return nil
}

// Space is how large the file system of a folder is, and how much of it a user may still take.
type Space struct{ Bytes, FreeBytes, Inodes, FreeInodes int64 }

// Measure asks the file system that is mounted on a target. It blocks while the file system does not answer.
func Measure(folder string) (Space, error) {
	mounts, err := Mounts()
	if err != nil {
		return Space{}, err
	}
	if len(plan.At(mounts, folder)) == 0 { // or it would be the machine's disk
		return Space{}, fmt.Errorf("measure %s: nothing is mounted there", folder)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return Space{}, fmt.Errorf("measure %s: %w", folder, err)
	}
	return Space{
		Bytes: int64(s.Blocks) * s.Bsize, FreeBytes: int64(s.Bavail) * s.Bsize,
		Inodes: int64(s.Files), FreeInodes: int64(s.Ffree),
	}, nil
}
