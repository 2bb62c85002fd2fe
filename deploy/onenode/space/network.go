package space

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// MakeNetwork makes a network namespace that lives as long as file is mounted, unless file holds one already. made tells which.
func MakeNetwork(file string) (made bool, err error) {
	if holds(file) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return false, fmt.Errorf("network namespace: %w", err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return false, fmt.Errorf("network namespace: %w", err)
	}
	err = aside(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("keep the network namespace in %s: %w", file, err)
		}
		return nil
	})
	return err == nil, err
}

// holds reports whether a namespace is mounted on file.
func holds(file string) bool {
	var at unix.Statfs_t
	return unix.Statfs(file, &at) == nil && at.Type == unix.NSFS_MAGIC
}

// Inside runs do in the network namespace that file holds: sockets that it opens and programs that it starts are there. do must not leave work to other
// goroutines: they would run outside.
func Inside(file string, do func() error) error {
	return aside(func() error {
		if err := enterNetwork(file); err != nil {
			return err
		}
		return do()
	})
}

// aside runs do on a thread of its own, which ends with it: no other goroutine may ever run in the namespaces that do has entered.
func aside(do func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		result <- do()
	}()
	return <-result
}

func enterNetwork(file string) error {
	if !holds(file) {
		return fmt.Errorf("no network namespace is in %s; `onenode up` makes it", file)
	}
	descriptor, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace %s: %w", file, err)
	}
	defer unix.Close(descriptor)
	if err := unix.Setns(descriptor, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", file, err)
	}
	return nil
}

// ShareMounts makes folder a mount of its own whose mounts are seen in the namespaces that are made from now on, and theirs here.
func ShareMounts(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	// Asked first: a second bind on top would hide what the first one carries.
	own, err := mounted(folder)
	if err != nil || own {
		return err
	}
	if err := unix.Mount(folder, folder, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("share the mounts of %s: %w", folder, err)
	}
	// Private in between: it would else belong to the same group as the file system it lies in, and each mount would appear twice.
	for _, kind := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", folder, "", kind, ""); err != nil {
			return fmt.Errorf("share the mounts of %s: %w", folder, err)
		}
	}
	return nil
}

func mounted(folder string) (bool, error) {
	points, err := mountPoints()
	if err != nil {
		return false, err
	}
	for _, point := range points {
		if point == folder {
			return true, nil
		}
	}
	return false, nil
}

func ignoreMissing(err error) error {
	// EINVAL: no mount, or one that another lies on top of.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
