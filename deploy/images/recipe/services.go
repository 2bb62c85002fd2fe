package recipe

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/perijove/perijove/deploy/images/layer"
	"github.com/perijove/perijove/deploy/machine/gobuild"
)

// Services builds the binaries below cmd/, and envoy/drain, into the folder bin and
// returns the recipes of the services' images: one static binary and nothing else, no
// shell to break into.
func Services(ctx context.Context, log io.Writer, say func(string), root, bin string) ([]Recipe, error) {
	names := []string{"xds-server", "authz", "spawner", "homes", "assets"}
	build := gobuild.Build{Dir: root, Out: bin + string(os.PathSeparator), Packages: []string{"./envoy/drain"}}
	for _, name := range names {
		build.Packages = append(build.Packages, "./cmd/"+name)
	}
	if err := build.Run(ctx, log, say); err != nil {
		return nil, fmt.Errorf("build the services: %w", err)
	}
	var recipes []Recipe
	for _, name := range names {
		recipes = append(recipes, service(name, filepath.Join(bin, name)))
	}
	return recipes, nil
}

func service(name, binary string) Recipe {
	return Recipe{
		Name: "perijove/" + name, Files: []string{binary},
		Make: func(context.Context, Kitchen) (Image, error) {
			return Image{
				Layers: []layer.Pack{layer.Entries([]layer.Entry{{Path: name, Source: binary, Mode: 0o755}})},
				Config: v1.Config{User: strconv.Itoa(serviceUser), Entrypoint: []string{"/" + name}},
			}, nil
		},
	}
}
