// Package repo finds things of this repository from any test or benchmark: its root, pinned
// versions, installed tools and the folder for test output.
package repo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Find returns the repository's root folder: the nearest one above the working directory
// that pins versions. Compiled-in paths would not do: -trimpath takes them out.
func Find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for from := dir; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, versions)); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in the repository: no %s above it", from, versions)
		}
	}
}

// versions holds what no go.mod pins.
const versions = "deploy/versions.env"

// Pinned returns a KEY of deploy/versions.env.
func Pinned(key string) (string, error) {
	root, err := Find()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(root, versions))
	if err != nil {
		return "", fmt.Errorf("pinned versions: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("%s has no %s", versions, key)
}

// Root is Find for a test.
func Root(tb testing.TB) string {
	tb.Helper()
	root, err := Find()
	if err != nil {
		tb.Fatal(err)
	}
	return root
}

// Version is Pinned for a test.
func Version(tb testing.TB, key string) string {
	tb.Helper()
	value, err := Pinned(key)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// Envoy returns the path of the pinned Envoy, which `make deps` installs.
func Envoy(tb testing.TB) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(cache, "perijove", "envoy", Version(tb, "ENVOY_VERSION"), "envoy")
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%v\nInstall what the tests need with: make deps", err)
	}
	return path
}

// Output returns a folder under test/output that outlives the test, for logs and
// screenshots.
func Output(tb testing.TB, elem ...string) string {
	tb.Helper()
	dir := filepath.Join(append([]string{Root(tb), "test", "output"}, elem...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	return dir
}
