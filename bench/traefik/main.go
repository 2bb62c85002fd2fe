// Command traefik builds Traefik from its Go module, once, for the other benchmarks. It
// takes about ten minutes on two cores. Its module cannot be a dependency or a `go tool`:
// it replaces modules of its own, which only the main module may do.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/perijove/perijove/bench/internal/rig"
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, "traefik:", err)
		os.Exit(1)
	}
}

func build() error {
	if rig.HasTraefik() {
		return nil
	}
	out, err := exec.Command("go", "mod", "download", "-json", "github.com/traefik/traefik/v3@"+rig.TraefikVersion).Output()
	if err != nil {
		return fmt.Errorf("download the module: %w: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return fmt.Errorf("read what go mod download says: %w", err)
	}
	dir, err := os.MkdirTemp("", "traefik")
	if err != nil {
		return fmt.Errorf("folder of the sources: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	source := filepath.Join(dir, "src")
	if err := os.CopyFS(source, os.DirFS(module.Dir)); err != nil { // the module cache is read-only and no main module
		return fmt.Errorf("copy the sources: %w", err)
	}
	built := filepath.Join(dir, "traefik")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", built, "./cmd/traefik")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(rig.TraefikPath()), 0o755), move(built, rig.TraefikPath()))
}

// move works between file systems too.
func move(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	return os.WriteFile(to, data, 0o755)
}
