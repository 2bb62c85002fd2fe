package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/perijove/perijove/deploy/machine/gobuild"
	"github.com/perijove/perijove/deploy/onenode/build"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
)

const usage = `onenode runs a real Kubernetes of one node, or of several, on this machine, without Docker.

Usage: onenode [--state DIR] [--cache DIR] [--sources DIR] [--nodes N] COMMAND

Commands:
  up                 build what is missing, start the nodes, wait until they work (again and again: only what is missing is done)
  down               stop the nodes and remove everything they made, volumes included; builds stay in the cache
  status             show the parts; exits 1 if one of them does not work
  nodes              print name and address of each node
  load ARCHIVE...    put images (docker or OCI archives) into every node, unless they are there
  kubeconfig         print the path of the administrator's kubeconfig

Options:
`

const needRoot = `onenode %s needs root: it makes containers, network interfaces, mounts, cgroups and nftables rules.
Run it with sudo, or use another cluster instead: kind (https://kind.sigs.k8s.io) where Docker runs, or any context of your kubeconfig.
`

var errUsage = errors.New("usage")

// command is one run of the program.
type command struct {
	layout  layout.Layout
	nodes   int    // 0: as many as there are, one at first
	sources string // folder of the module that the node's programs are built from
	key     string // of the build
	out     io.Writer
}

// Main runs the command that args name. It returns the exit code: 2 for wrong arguments, 1 for a failure.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, name, rest, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, errUsage) {
			fmt.Fprintln(stderr, "onenode:", err)
		}
		return 2
	}
	c.out = stdout
	if needsRoot(name) && os.Geteuid() != 0 {
		fmt.Fprintf(stderr, needRoot, name)
		return 1
	}
	if err := c.run(ctx, name, rest); err != nil {
		fmt.Fprintln(stderr, "onenode:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (c command, name string, rest []string, err error) {
	flags := flag.NewFlagSet("onenode", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	state := flags.String("state", layout.DefaultState, "folder of the node's state")
	cache := flags.String("cache", "", "folder of the builds (default: perijove in the user's cache folder)")
	sources := flags.String("sources", "", "folder of the module that the node's programs are built from (default: deploy/onenode/programs of the checkout around the working directory)")
	flags.Func("nodes", fmt.Sprintf("how many `nodes` there shall be, 1 to %d (default: as many as there are, one at first)", layout.MaxNodes), func(text string) (err error) {
		c.nodes, err = layout.ParseNodes(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return c, "", nil, errUsage
	}
	if *cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return c, "", nil, fmt.Errorf("no cache folder: %w; set --cache", err)
		}
		*cache = filepath.Join(user, "perijove")
	}
	if c.layout.State, err = filepath.Abs(*state); err != nil {
		return c, "", nil, err
	}
	if c.layout.Cache, err = filepath.Abs(*cache); err != nil {
		return c, "", nil, err
	}
	if flags.NArg() == 0 || !known(flags.Arg(0), flags.NArg()-1) {
		flags.Usage()
		return c, "", nil, errUsage
	}
	if needsBuild(flags.Arg(0)) {
		err = c.findSources(*sources)
	}
	return c, flags.Arg(0), flags.Args()[1:], err
}

// needsBuild reports whether a command uses the built programs; the others work from anywhere.
func needsBuild(name string) bool { return name == "up" || name == "load" || name == superviseCommand }

// findSources sets where the sources are and which build they make.
func (c *command) findSources(folder string) error {
	if folder == "" {
		root, err := gobuild.Root()
		if err != nil {
			return fmt.Errorf("%w; or set --sources", err)
		}
		folder = filepath.Join(root, "deploy/onenode/programs")
	}
	var err error
	if c.sources, err = filepath.Abs(folder); err != nil {
		return err
	}
	c.key, err = build.Key(os.DirFS(c.sources))
	return err
}

// known reports whether the command exists and takes that many arguments.
func known(name string, arguments int) bool {
	switch name {
	case "up", "down", "status", "nodes", "kubeconfig", superviseCommand:
		return arguments == 0
	case "load":
		return arguments > 0
	case parts.EnterCommand, parts.EnterKubeletCommand:
		return arguments > 1
	}
	return false
}

func needsRoot(name string) bool { return name != "kubeconfig" }

func (c command) run(ctx context.Context, name string, rest []string) error {
	switch name {
	case "up":
		return c.up(ctx)
	case "down":
		return c.down(ctx)
	case "status":
		return c.status(ctx)
	case "load":
		return c.load(ctx, rest)
	case "nodes":
		return c.listNodes()
	case superviseCommand:
		return c.supervise(ctx)
	case parts.EnterCommand, parts.EnterKubeletCommand:
		return c.enter(name, rest)
	}
	_, err := fmt.Fprintln(c.out, c.layout.Kubeconfig())
	return err
}
