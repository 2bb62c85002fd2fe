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

func directoryPackages() []string {
	return []string{"base-files", "libc-bin", "dash", "coreutils", "sed", "grep", "openssl", "slapd", "ldap-utils"}
}

// Directory is OpenLDAP with the development users of the folder files, which it holds
// at /directory and starts with run.sh.
func Directory(suite, files string) Recipe {
	return Recipe{
		Name: "perijove/directory", Words: append(directoryPackages(), suite), Files: []string{files},
		Make: func(ctx context.Context, kitchen Kitchen) (Image, error) {
			root := filepath.Join(kitchen.Work, "root")
			if err := rootfs.Unpack(ctx, kitchen.Log, suite, root, directoryPackages()); err != nil {
				return Image{}, err
			}
			content := filepath.Join(kitchen.Work, "content")
			if err := os.CopyFS(filepath.Join(content, "directory"), os.DirFS(files)); err != nil {
				return Image{}, fmt.Errorf("copy the directory's files: %w", err)
			}
			return Image{
				Layers: []layer.Pack{layer.Tree(root, skipDebian), layer.Tree(content, func(string) bool { return false })},
				Config: v1.Config{
					User: strconv.Itoa(serviceUser), WorkingDir: "/directory",
					Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
					Entrypoint: []string{"/bin/sh", "/directory/run.sh"},
				},
			}, nil
		},
	}
}
