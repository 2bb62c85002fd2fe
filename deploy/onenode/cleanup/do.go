package cleanup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/space"
)

// settleWithin bounds the wait for the kernel: a cgroup can be removed only when its last process is fully gone.
const settleWithin = 15 * time.Second

// Do carries the plan out; fields that are empty are left alone. It goes on after a failure, so that one thing that cannot be removed does not leave the rest, and reports all of them.
// The state folder stays if anything is still mounted in it: the files below the mount may be a user's.
func Do(plan Plan) error {
	var faults []error
	note := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	for _, point := range plan.Unmount {
		note("unmount "+point, unmount(point))
	}
	for _, name := range plan.DeleteLinks {
		note("interface "+name, deleteLink(name))
	}
	for _, rule := range plan.DeleteRules {
		note("nftables rule", nft("delete", "rule", rule.Family, layout.HostPortTable, rule.Chain, "handle", rule.Handle))
	}
	for _, table := range plan.DeleteTable {
		note("nftables table", nft(append([]string{"delete", "table"}, strings.Fields(table)...)...))
	}
	for _, tree := range plan.RemoveTrees {
		note("cgroup "+tree, removeCgroups(tree))
	}
	for _, file := range plan.Remove {
		note("file", ignoreMissing(os.Remove(file)))
	}
	for _, folder := range plan.RemoveEmpty {
		_ = os.Remove(folder) // fails if it is not empty: then another program uses it now
	}
	for name, value := range plan.Sysctls {
		note("kernel setting "+name, os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644))
	}
	if plan.RemoveState != "" {
		note("state folder", removeState(plan.RemoveState))
	}
	return errors.Join(faults...)
}

func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	// EINVAL, ENOENT: it went with another one.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// deleteLink removes an interface, and if it is a bridge the cables that hang on it.
func deleteLink(name string) error {
	gone, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, link := range links {
		// A pod's end goes with its network namespace, and the kernel does that later; the pair is gone at once if we remove our end.
		if link.Type() == "veth" && link.Attrs().MasterIndex == gone.Attrs().Index {
			if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
				return err
			}
		}
	}
	return netlink.LinkDel(gone)
}

func nft(args ...string) error {
	if out, err := exec.Command("nft", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// removeCgroups removes a tree of cgroups: folders only (the files in them are the kernel's), children first.
func removeCgroups(root string) error {
	deadline := time.Now().Add(settleWithin)
	for {
		err := removeFolders(root)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func removeFolders(root string) error {
	var folders []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return ignoreMissing(err)
	})
	if err != nil {
		return err
	}
	slices.Reverse(folders)
	for _, folder := range folders {
		if err := ignoreMissing(os.Remove(folder)); err != nil {
			return err
		}
	}
	return nil
}

func removeState(folder string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if left := mountsBelow(space.MountPoints(string(mounts)), folder); len(left) > 0 {
		return fmt.Errorf("%s is still mounted; unmount it and run `onenode down` again", strings.Join(left, ", "))
	}
	return os.RemoveAll(folder)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
