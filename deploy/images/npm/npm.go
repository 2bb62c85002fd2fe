// Package npm installs the packages of a lock file with the host's npm, which knows how
// to reach a registry. It runs no package's scripts, and npm refuses what does not match
// the hashes of the lock file.
package npm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Install returns a folder below cache with the node_modules that source's
// package-lock.json asks for, and makes it when it is not there.
func Install(ctx context.Context, log io.Writer, source, cache string) (string, error) {
	lock, err := os.ReadFile(filepath.Join(source, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("read the lock file: %w", err)
	}
	sum := sha256.Sum256(lock)
	home := filepath.Join(cache, hex.EncodeToString(sum[:])[:12])
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the folder for npm packages: %w", err)
	}
	// As with every download: a folder of our own, and one rename at the end.
	work, err := os.MkdirTemp(cache, "install-*")
	if err != nil {
		return "", fmt.Errorf("make a folder to install in: %w", err)
	}
	defer os.RemoveAll(work)
	for _, name := range []string{"package.json", "package-lock.json"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(work, name), content, 0o644); err != nil {
			return "", fmt.Errorf("copy %s: %w", name, err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir, cmd.Stdout, cmd.Stderr = work, log, log
	err = cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("npm is missing; run: make deps")
	}
	if err != nil {
		return "", fmt.Errorf("install packages with npm: %w", err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return "", fmt.Errorf("open the folder for others: %w", err)
	}
	err = os.Rename(work, home)
	if _, there := os.Stat(home); there == nil {
		return home, nil // another run was faster
	}
	return home, err
}
