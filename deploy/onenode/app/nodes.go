package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/deploy/onenode/cleanup"
	"github.com/perijove/perijove/deploy/onenode/cluster"
	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/images"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/space"
)

// there returns the nodes that have been made: the first, and those that have a folder.
func (c command) there() ([]layout.Node, error) {
	nodes := c.layout.Nodes(1)
	entries, err := os.ReadDir(c.layout.Further())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for nodes: %w", err)
	}
	for _, entry := range entries {
		if number, err := strconv.Atoi(entry.Name()); err == nil && number > 1 {
			nodes = append(nodes, c.layout.Node(number))
		}
	}
	return nodes, nil
}

// settleNodes fixes how many nodes there shall be, and returns those that have to go.
func (c *command) settleNodes() (surplus []layout.Node, err error) {
	nodes, err := c.there()
	if err != nil {
		return nil, err
	}
	if c.nodes == 0 {
		for _, n := range nodes {
			c.nodes = max(c.nodes, n.Number)
		}
	}
	for _, n := range nodes {
		if n.Number > c.nodes {
			surplus = append(surplus, n)
		}
	}
	return surplus, nil
}

// wanted returns the nodes that there shall be.
func (c command) wanted() []layout.Node { return c.layout.Nodes(c.nodes) }

func (c command) listNodes() error {
	nodes, err := c.there()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if _, err := fmt.Fprintln(c.out, n.Name(), n.IP()); err != nil {
			return err
		}
	}
	return nil
}

// drain ends the pods of nodes that have to go, so that their servers can save their files. If no API server answers, or a pod does not end in time, the node
// goes all the same.
func (c command) drain(ctx context.Context, steps steps, client cluster.Client, surplus []layout.Node) {
	for _, n := range surplus {
		if client.DNSReady(ctx) != nil {
			return
		}
		steps.say("node %s goes; its pods end", n.Name())
		if err := client.Drain(ctx, n); err != nil {
			steps.say("  not all of them did: %v", err)
		}
	}
}

// removeNodes takes nodes off the machine. Their parts have ended already; the pods of other nodes go on.
func (c command) removeNodes(surplus []layout.Node) error {
	for _, n := range surplus {
		if err := cleanup.KillNode(n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name(), err)
		}
		found, err := cleanup.Look(c.layout, host.Ledger{})
		if err != nil {
			return err
		}
		if err := cleanup.Do(cleanup.MakeNode(n, found)); err != nil {
			return fmt.Errorf("node %s could not be removed; `onenode up` can be run again: %w", n.Name(), err)
		}
	}
	return nil
}

// forget deletes the Node objects of nodes that were removed, in this run or in one that was interrupted.
func (c command) forget(ctx context.Context, client cluster.Client) error {
	names, err := client.NodeNames(ctx)
	if err != nil {
		return err
	}
	for _, n := range c.layout.Nodes(layout.MaxNodes)[c.nodes:] {
		if !slices.Contains(names, n.Name()) {
			continue
		}
		if err := client.Forget(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// enter becomes a program on a further node: rest is the node's number, the program and its arguments.
func (c command) enter(how string, rest []string) error {
	number, err := layout.ParseNodes(rest[0])
	if err != nil || number == 1 {
		return fmt.Errorf("%q is no further node's number", rest[0])
	}
	n := c.layout.Node(number)
	var mounts *space.Mounts
	if how == parts.EnterKubeletCommand {
		mounts = &space.Mounts{State: c.layout.State, Share: n.KubeletRoot(), From: n.DevicePlugins(), At: layout.DevicePlugins}
	}
	environment := append(os.Environ(), layout.NodeMarker+"="+rest[0])
	return space.Exec(n.Namespace(), mounts, rest[1:], environment)
}

// store is a node's images. A disk of the machine writes the same files once more for each further node, so those unpack only what their pods need: it halves
// what loading takes, and costs a big image's first container there some seconds.
func (c command) store(n layout.Node) images.Store {
	return images.Store{Ctr: filepath.Join(c.layout.Bin(c.key), "ctr"), Socket: n.ContainerdSocket(), Lazy: !n.First()}
}

// load puts the archives into every node.
func (c command) load(ctx context.Context, archives []string) error {
	nodes, err := c.there()
	if err != nil {
		return err
	}
	loaded, err := c.loadInto(ctx, nodes, archives)
	if err != nil {
		return fmt.Errorf("%w (is the node up? see `onenode status`)", err)
	}
	for i, archive := range archives {
		if len(loaded[i]) == 0 {
			fmt.Fprintf(c.out, "%s: already there\n", archive)
		}
		for _, name := range loaded[i] {
			fmt.Fprintf(c.out, "%s: loaded %s\n", archive, name)
		}
	}
	return nil
}

// loadInto loads the archives into the nodes, all nodes at once. It returns what each archive brought to some node.
func (c command) loadInto(ctx context.Context, nodes []layout.Node, archives []string) ([][]string, error) {
	loaded := make([][][]string, len(nodes)) // node, archive → names
	group, ctx := errgroup.WithContext(ctx)
	for i, n := range nodes {
		loaded[i] = make([][]string, len(archives))
		group.Go(func() error {
			for j, archive := range archives {
				names, err := c.store(n).Load(ctx, archive)
				if err != nil {
					return fmt.Errorf("node %s: %w", n.Name(), err)
				}
				loaded[i][j] = names
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	brought := make([][]string, len(archives))
	for _, archives := range loaded {
		for j, names := range archives {
			if len(names) > len(brought[j]) {
				brought[j] = names
			}
		}
	}
	return brought, nil
}
