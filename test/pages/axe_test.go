package pages

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	requirements = "axe.txt"
	axeFile      = "pytest_playwright_axe/resources/axe.min.js"
)

// axe returns the source of axe-core, fetched once per version.
func axe(t *testing.T) string {
	t.Helper()
	list, err := os.ReadFile(requirements)
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(list)
	dir := filepath.Join(cache, "perijove", "axe-"+hex.EncodeToString(sum[:6]))
	found, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
	if len(found) == 0 {
		cmd := exec.Command("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
			"--python-version", "3.12", "--dest", dir, "-r", requirements) // it is not run, so any Python will do
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("fetch axe-core: %v\n%s\nInstall what the tests need with: make deps", err, out)
		}
		if found, _ = filepath.Glob(filepath.Join(dir, "*.whl")); len(found) != 1 {
			t.Fatalf("fetched %q", found)
		}
	}
	return unzipped(t, found[0])
}

func unzipped(t *testing.T, wheel string) string {
	t.Helper()
	archive, err := zip.OpenReader(wheel)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close() //nolint:errcheck // only read
	file, err := archive.Open(axeFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // only read
	var source strings.Builder
	if _, err := io.Copy(&source, file); err != nil {
		t.Fatal(err)
	}
	return source.String()
}
