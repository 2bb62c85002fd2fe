package images

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Store is containerd's image store as the kubelet sees it, reached through the `ctr` program.
type Store struct {
	Ctr    string // path of ctr
	Socket string // containerd's
	Lazy   bool   // unpack an image when a container first needs it, and not when it is loaded
}

// visibleWithin bounds the wait for containerd to tell its Kubernetes side of an image that was imported behind its back; it takes milliseconds.
const visibleWithin = 30 * time.Second

// Load imports the archive unless each of its images is there with the same id. It returns the names that it imported.
func (s Store) Load(ctx context.Context, archive string) ([]string, error) {
	wanted, err := Read(archive)
	if err != nil {
		return nil, err
	}
	before, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	missing := absent(before, wanted)
	if len(missing) == 0 {
		return nil, nil
	}
	args := []string{"images", "import", "--local"}
	if s.Lazy {
		args = append(args, "--no-unpack")
	}
	if _, err := s.ctr(ctx, append(args, archive)...); err != nil {
		return nil, fmt.Errorf("import %s: %w", archive, err)
	}
	for _, entry := range wanted {
		// containerd names a new image by its id too, but forgets to when a known name comes to mean another image.
		if _, replaced := before[entry.Ref]; replaced {
			if _, err := s.ctr(ctx, "images", "tag", "--force", "--skip-reference-check", entry.Ref, entry.ID); err != nil {
				return nil, fmt.Errorf("import %s: %w", archive, err)
			}
		}
	}
	after, err := s.waitVisible(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", archive, err)
	}
	for _, id := range orphans(after) {
		if _, err := s.ctr(ctx, "images", "rm", id); err != nil {
			return nil, fmt.Errorf("remove the image that %s replaces: %w", archive, err)
		}
	}
	return missing, nil
}

func (s Store) waitVisible(ctx context.Context, wanted []Entry) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for {
		have, err := s.list(ctx)
		if err != nil {
			return nil, err
		}
		left := absent(have, wanted)
		if len(left) == 0 {
			return have, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("containerd took it, but %v did not appear: %w", left, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// orphans lists ids that no name means any more: the images that were replaced. The kubelet collects no images on this node, so each
// build of a big image would stay on disk. Pods that still run one of them keep its files.
func orphans(have map[string]string) []string {
	named := map[string]bool{}
	for ref, digest := range have {
		if !strings.HasPrefix(ref, "sha256:") {
			named[digest] = true
		}
	}
	var ids []string
	for ref, digest := range have {
		if strings.HasPrefix(ref, "sha256:") && !named[digest] {
			ids = append(ids, ref)
		}
	}
	slices.Sort(ids)
	return ids
}

// absent lists the names of the wanted images that the store lacks or has with another id. containerd's Kubernetes side keeps two names for an
// image, its own and its id, and both point at one digest.
func absent(have map[string]string, wanted []Entry) []string {
	var names []string
	for _, entry := range wanted {
		digest, ok := have[entry.Ref]
		if !ok || have[entry.ID] != digest {
			names = append(names, entry.Ref)
		}
	}
	return names
}

// list returns name → digest of all images.
func (s Store) list(ctx context.Context) (map[string]string, error) {
	out, err := s.ctr(ctx, "images", "ls")
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	return parseList(out), nil
}

// parseList reads the columns REF TYPE DIGEST … of `ctr images ls`.
func parseList(out string) map[string]string {
	have := map[string]string{}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) >= 3 && strings.HasPrefix(fields[2], "sha256:") {
			have[fields[0]] = fields[2]
		}
	}
	return have
}

func (s Store) ctr(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.Ctr, append([]string{"--address", s.Socket, "--namespace", "k8s.io"}, args...)...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}
