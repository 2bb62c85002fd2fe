package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/perijove/perijove/deploy/machine/gobuild"
	"github.com/perijove/perijove/deploy/onenode/images"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
)

// done is written last: a build that was interrupted has none, and is taken up again.
const done = "complete"

// tags: `parts` is on the mains in programs/ that would make `go test ./...` and `go vet ./...` compile all of Kubernetes;
// the others leave out snapshotters of containerd that need C libraries.
const tags = "parts,no_btrfs,no_devmapper,no_zfs"

// Image files in the bin folder.
const (
	PauseArchive   = "pause.tar"
	CoreDNSArchive = "coredns.tar"
	KubeArchive    = "kube.tar"
)

// Done reports whether the build called key is in the cache.
func Done(l layout.Layout, key string) bool {
	_, err := os.Stat(filepath.Join(l.Bin(key), done))
	return err == nil
}

// Run builds everything into l.Bin(key), from the module in the folder sources. progress gets a short text from time to time.
func Run(ctx context.Context, l layout.Layout, key, sources string, progress func(string)) error {
	out := l.Bin(key)
	folder := filepath.Dir(out)
	if err := os.MkdirAll(filepath.Join(out, "cni"), 0o755); err != nil {
		return fmt.Errorf("folder for programs: %w", err)
	}
	unlock, err := lock(filepath.Join(folder, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if Done(l, key) { // by the process that held the lock
		return nil
	}
	if err := compile(ctx, sources, out, progress); err != nil {
		return err
	}
	if err := arrange(out); err != nil {
		return err
	}
	if err := assemble(out, key, sources); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, done), nil, 0o644)
}

// lock waits until no other process builds into the same folder: nodes with different state folders share the cache.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("lock the cache: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// compile runs one `go build` for all programs: what they share is compiled once, and both cores stay busy while one program is linked.
func compile(ctx context.Context, sources, out string, progress func(string)) error {
	gomod, err := os.ReadFile(filepath.Join(sources, "go.mod"))
	if err != nil {
		return fmt.Errorf("read the versions: %w", err)
	}
	flags, err := linkFlags(gomod)
	if err != nil {
		return err
	}
	build := gobuild.Build{
		Dir: sources, Tags: tags, Link: flags, Out: out + string(filepath.Separator),
		Packages: slices.Sorted(maps.Values(programs())),
	}
	return build.Run(ctx, io.Discard, progress)
}

// arrange gives each program its place and name.
func arrange(out string) error {
	for name, pkg := range programs() {
		built := filepath.Join(out, builtName(pkg))
		if built == filepath.Join(out, name) {
			continue
		}
		if err := os.Rename(built, filepath.Join(out, name)); err != nil {
			return fmt.Errorf("arrange programs: %w", err)
		}
	}
	for _, name := range kubeNames() {
		link := filepath.Join(out, name)
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("arrange programs: %w", err)
		}
		if err := os.Symlink("kube", link); err != nil {
			return fmt.Errorf("arrange programs: %w", err)
		}
	}
	return nil
}

// assemble packs the images that the node itself needs, and those of Kubernetes that charts ask for: under the names that they have in its registry,
// since the node pulls none.
func assemble(out, key, sources string) error {
	gomod, err := os.ReadFile(filepath.Join(sources, "go.mod"))
	if err != nil {
		return fmt.Errorf("read the versions: %w", err)
	}
	kubernetes, _, err := versions(gomod)
	if err != nil {
		return err
	}
	const official = "registry.k8s.io/"
	for archive, image := range map[string]images.Single{
		PauseArchive:   {Ref: parts.PauseImage(key), Also: []string{official + "pause:3.10.1"}, Program: filepath.Join(out, "pause"), User: "65535:65535"},
		CoreDNSArchive: {Ref: parts.CoreDNSImage(key), Program: filepath.Join(out, "coredns"), User: "65532:65532"},
		KubeArchive: {
			Ref: official + "kubectl:" + kubernetes, Also: []string{official + "kube-scheduler:" + kubernetes},
			Program: filepath.Join(out, "kube"), Names: []string{"kubectl", "kube-scheduler"}, User: "65532:65532",
		},
	} {
		if err := image.Write(filepath.Join(out, archive)); err != nil {
			return err
		}
	}
	return nil
}
