package images

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Store is containerd's image store as the kubelet sees it, reached through the `ctr` program.
type Store struct {
	Ctr    string // path of ctr
	Socket string // containerd's
}

// visibleWithin bounds the wait for containerd to tell its Kubernetes side of an image that was imported behind its back; it takes milliseconds.
const visibleWithin = 30 * time.Second

// Load imports the archive unless each of its images is there with the same id. It returns the names that it imported.
func (s Store) Load(ctx context.Context, archive string) ([]string, error) {
	wanted, err := Read(archive)
	if err != nil {
		return nil, err
	}
	have, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	missing := absent(have, wanted)
	if len(missing) == 0 {
		return nil, nil
	}
	if _, err := s.ctr(ctx, "images", "import", "--local", archive); err != nil {
		return nil, fmt.Errorf("import %s: %w", archive, err)
	}
	ctx, cancel := context.WithTimeout(ctx, visibleWithin)
	defer cancel()
	for {
		if have, err = s.list(ctx); err != nil {
			return nil, err
		}
		if len(absent(have, wanted)) == 0 {
			return missing, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("import %s: containerd took it, but %v did not appear: %w", archive, absent(have, wanted), ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
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
