// Package repo finds things of this repository from any test: its root, pinned
// versions, installed tools and the folder for test output.
package repo

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Root returns the repository's root folder.
func Root(tb testing.TB) string {
	tb.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		tb.Fatal("no caller information")
	}
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// Version returns a KEY of deploy/versions.env.
func Version(tb testing.TB, key string) string {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(Root(tb), "deploy", "versions.env"))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return value
		}
	}
	tb.Fatalf("deploy/versions.env has no %s", key)
	return ""
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
