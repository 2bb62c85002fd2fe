package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/deploy/machine/apt"
	"github.com/perijove/perijove/deploy/machine/port"
	"github.com/perijove/perijove/deploy/onenode/build"
	"github.com/perijove/perijove/deploy/onenode/cleanup"
	"github.com/perijove/perijove/deploy/onenode/cluster"
	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/parts"
	"github.com/perijove/perijove/deploy/onenode/pki"
	"github.com/perijove/perijove/deploy/onenode/space"
	"github.com/perijove/perijove/deploy/onenode/supervise"
)

const (
	partsWithin = 2 * time.Minute // from the start of the supervisor until every part is ready
	nodeWithin  = time.Minute     // from then until the node and its DNS are
	tooMany     = 5               // restarts of one part during `up` after which it is hopeless
	tailLines   = 12
	portsWithin = 3 * time.Second
)

// up brings the node to the wanted state from any other.
func (c command) up(ctx context.Context) error {
	steps := newSteps(c.out)
	if runtime.GOOS != "linux" {
		return errors.New("onenode runs on Linux only; elsewhere use kind or a context of your kubeconfig")
	}
	if err := c.makeFolders(); err != nil {
		return err
	}
	lock, err := tryLock(c.layout.Lock())
	if err != nil {
		return err
	}
	defer lock.Close()
	// What is mounted in a volume's folder is seen in the pods that have it mounted. containerd refuses a pod that asks for
	// that, as the driver of late homes does, where the folder does not give it.
	if err := space.ShareMounts(c.layout.Volumes()); err != nil {
		return err
	}
	surplus, err := c.settleNodes()
	if err != nil {
		return err
	}
	if err := c.provide(ctx, steps); err != nil {
		return err
	}
	settings, err := c.settings()
	if err != nil {
		return err
	}
	identity, err := spec(settings)
	if err != nil {
		return err
	}
	client := cluster.Client{Layout: c.layout, Bin: settings.Bin()}
	c.drain(ctx, steps, client, surplus)
	running, err := c.startParts(ctx, steps, settings, identity, surplus)
	if err != nil {
		return err
	}
	if running && c.finished(identity) && client.NodesReady(ctx, c.wanted()) == nil && client.DNSReady(ctx) == nil {
		steps.say("already up")
		return nil
	}
	if err := c.waitForParts(ctx, steps); err != nil {
		return err
	}
	if err := c.finish(ctx, steps, client); err != nil {
		return err
	}
	if err := os.WriteFile(c.layout.Finished(), []byte(identity), 0o600); err != nil {
		return fmt.Errorf("note that the node is complete: %w", err)
	}
	fmt.Fprintf(c.out, "\nKubernetes is up.  export KUBECONFIG=%s\nkubectl: %s   logs: %s\n", c.layout.Kubeconfig(), filepath.Join(settings.Bin(), "kubectl"), c.layout.Logs())
	return nil
}

func (c command) makeFolders() error {
	// Only root may enter: the folder holds keys and the users' volumes.
	if err := os.MkdirAll(c.layout.State, 0o700); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	for _, folder := range []string{c.layout.Config(), c.layout.Logs(), c.layout.Volumes()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	return nil
}

// provide installs packages and builds programs.
func (c command) provide(ctx context.Context, steps steps) error {
	if missing := host.Missing(); len(missing) > 0 {
		steps.say("installing Debian packages: %s", strings.Join(missing, " "))
		var log bytes.Buffer
		if _, err := apt.Install(ctx, &log, missing); err != nil {
			return fmt.Errorf("%w\n%s", err, log.String())
		}
	}
	if build.Done(c.layout, c.key) {
		return nil
	}
	steps.say("building Kubernetes, etcd, containerd, CoreDNS from Go modules (once; about 5 minutes on 2 cores)")
	err := build.Run(ctx, c.layout, c.key, c.sources, func(text string) { steps.say("  %s", text) })
	if err != nil {
		return fmt.Errorf("%w\nMend the cause (no module proxy? disk full?) and run `onenode up` again: it goes on where it stopped", err)
	}
	steps.say("built into %s", c.layout.Bin(c.key))
	return nil
}

// startParts makes sure that a supervisor with this identity runs, and that the surplus nodes are gone. running is true if one did, with every part ready.
func (c command) startParts(ctx context.Context, steps steps, settings parts.Settings, identity string, surplus []layout.Node) (running bool, err error) {
	status, err := supervise.Ask(ctx, c.layout.ControlSocket())
	if err == nil && status.Spec == identity && len(surplus) == 0 && pki.Fresh(c.layout.PKI(), parts.Leaves(), time.Now()) {
		return status.Ready(), nil
	}
	if err == nil {
		steps.say("the version or configuration changed: stopping the parts (pods go on)")
		if err := stopSupervisor(ctx, status.PID, c.layout.ControlSocket()); err != nil {
			return false, err
		}
	}
	if err := cleanup.KillParts(c.layout); err != nil {
		return false, err
	}
	if err := c.removeNodes(surplus); err != nil {
		return false, err
	}
	if err := waitForPorts(ctx); err != nil {
		return false, err
	}
	if err := c.writeConfig(settings); err != nil {
		return false, err
	}
	if err := host.Prepare(c.layout, c.nodes); err != nil {
		return false, err
	}
	steps.say("certificates, configuration and network are ready; starting the parts")
	return false, c.startSupervisor()
}

// waitForPorts gives the kernel a moment to close the sockets of parts that were just killed.
func waitForPorts(ctx context.Context) error {
	deadline := time.Now().Add(portsWithin)
	for {
		err := portsFree()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// portsFree names every program that is in the way, at once.
func portsFree() error {
	var taken []string
	for _, number := range []int{
		layout.PortAPIServer, layout.PortEtcd, layout.PortEtcdPeer, layout.PortKubelet, layout.PortKubeletLive,
		layout.PortManager, layout.PortScheduler, layout.PortProxy, layout.PortProxyLive, layout.PortProvisioner, layout.PortDevices, layout.PortPolicy,
	} {
		holder, err := port.Find("/proc", number)
		if err != nil {
			return err
		}
		if holder != nil {
			taken = append(taken, fmt.Sprintf("port %d is taken by %s", number, holder))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return fmt.Errorf("another Kubernetes or etcd seems to run on this machine:\n  %s\nStop it, or use it instead through its kubeconfig context", strings.Join(taken, "\n  "))
}

func (c command) writeConfig(settings parts.Settings) error {
	if !pki.Fresh(c.layout.PKI(), parts.Leaves(), time.Now()) {
		made, err := pki.Make(parts.Leaves(), time.Now())
		if err != nil {
			return err
		}
		if err := pki.Write(c.layout.PKI(), made); err != nil {
			return err
		}
		admin := parts.AdminKubeconfig(made[pki.CA], made["admin.crt"], made["admin.key"])
		if err := os.WriteFile(c.layout.Kubeconfig(), admin, 0o600); err != nil {
			return fmt.Errorf("kubeconfig: %w", err)
		}
	}
	files, err := parts.Files(settings)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(c.layout.Config(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	return nil
}

// waitForParts says each part that becomes ready, and gives up on one that keeps ending or takes too long.
func (c command) waitForParts(ctx context.Context, steps steps) error {
	ctx, cancel := context.WithTimeout(ctx, partsWithin)
	defer cancel()
	var said []string
	for {
		status, err := supervise.Ask(ctx, c.layout.ControlSocket())
		for _, part := range status.Parts {
			if part.State == supervise.Ready && !slices.Contains(said, part.Name) {
				said = append(said, part.Name)
				steps.say("%s is ready", part.Name)
			}
			if part.State != supervise.Ready && part.Restarts >= tooMany {
				return c.partFailed(part, "keeps ending")
			}
		}
		if err == nil && status.Ready() {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ctx.Done():
		}
		for _, part := range status.Parts {
			if part.State == supervise.Starting || part.State == supervise.Failed {
				return c.partFailed(part, "is not ready: "+part.Problem)
			}
		}
		return fmt.Errorf("the supervisor does not answer: %w; read %s\n%s", errors.Join(err, ctx.Err()), c.layout.LogFile("onenode"), tail(c.layout.LogFile("onenode"), tailLines))
	}
}

func (c command) partFailed(part supervise.PartStatus, how string) error {
	log := c.layout.LogFile(part.Name)
	return fmt.Errorf("%s %s\nIts log is %s and ends with:\n%s\nMend the cause and run `onenode up` again, or start afresh with `onenode down`", part.Name, how, log, tail(log, tailLines))
}

// finished reports whether an `up` with this identity went through to its end: parts that run do not tell that images and manifests are in place.
func (c command) finished(identity string) bool {
	content, err := os.ReadFile(c.layout.Finished())
	return err == nil && string(content) == identity
}

// finish does what needs a running API server: images, DNS, storage class; then it waits for the nodes.
func (c command) finish(ctx context.Context, steps steps, client cluster.Client) error {
	var archives []string
	for _, archive := range []string{build.PauseArchive, build.CoreDNSArchive, build.KubeArchive} {
		archives = append(archives, filepath.Join(c.layout.Bin(c.key), archive))
	}
	if _, err := c.loadInto(ctx, c.wanted(), archives); err != nil {
		return err
	}
	manifests, err := os.ReadFile(filepath.Join(c.layout.Config(), "manifests.yaml"))
	if err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	if err := client.Apply(ctx, manifests); err != nil {
		return err
	}
	steps.say("images, storage class and DNS are in place")
	for _, n := range c.wanted() {
		ready := func(ctx context.Context) error { return client.NodesReady(ctx, []layout.Node{n}) }
		if err := c.waitFor(ctx, n.Part("kubelet"), ready); err != nil {
			return err
		}
		steps.say("node %s is Ready", n.Name())
	}
	if err := c.forget(ctx, client); err != nil {
		return err
	}
	if err := c.waitFor(ctx, "kubelet", client.DNSReady); err != nil {
		return err
	}
	steps.say("cluster DNS answers")
	return nil
}

func (c command) waitFor(ctx context.Context, log string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, nodeWithin)
	defer cancel()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the node does not come up: %w\nRead %s, which ends with:\n%s", last, c.layout.LogFile(log), tail(c.layout.LogFile(log), tailLines))
		}
	}
}
