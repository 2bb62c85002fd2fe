package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/perijove/perijove/deploy/machine/gobuild"
)

const usage = `usage: up COMMAND

  up          build everything, start it, wait until it answers
  down        remove what up made
  deps        install what the tests need
  kubeconfig  print the path of the cluster's kubeconfig
  images      build the container images, push them to REGISTRY when that is set

environment:
  CONTEXT   use this context of your kubeconfig instead of a cluster on this machine
  REGISTRY  push the images there (needed with CONTEXT), such as registry.example.org/team
  NODES     how many nodes the cluster on this machine shall have (default: as many as it
            has, one at first)
`

// up is one run of the command: its sources, its folders, its options and its reader.
type up struct {
	root     string // the repository
	cache    string // builds that outlive a run
	logs     string // one file a step
	context  string // CONTEXT
	registry string // REGISTRY
	nodes    string // NODES
	console  *console
}

// Main runs one command line and returns the exit code: 0 done, 1 a step failed,
// 2 the command line was not understood.
func Main(ctx context.Context, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, usage) }
	if err := flags.Parse(args); err != nil {
		return 2
	}
	u, err := newUp(out)
	if err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	commands := map[string]func(context.Context) error{"up": u.up, "down": u.down, "deps": u.deps, "images": u.buildImages, "kubeconfig": u.printKubeconfig}
	command, ok := commands[flags.Arg(0)]
	if !ok || flags.NArg() != 1 {
		flags.Usage()
		return 2
	}
	if err := command(ctx); err != nil {
		fmt.Fprintln(out, err)
		return 1
	}
	return 0
}

func newUp(out io.Writer) (*up, error) {
	root, err := gobuild.Root()
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	cache = filepath.Join(cache, "perijove")
	logs := filepath.Join(cache, "logs")
	for _, dir := range []string{logs, filepath.Join(cache, "bin")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make a folder for builds and logs: %w", err)
		}
	}
	return &up{
		root: root, cache: cache, logs: logs,
		context: os.Getenv("CONTEXT"), registry: os.Getenv("REGISTRY"), nodes: os.Getenv("NODES"),
		console: &console{out: out, start: time.Now()},
	}, nil
}
