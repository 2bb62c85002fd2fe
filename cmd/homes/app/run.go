package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/perijove/perijove/pkg/homes/claims"
	"github.com/perijove/perijove/pkg/homes/mount"
	"github.com/perijove/perijove/pkg/homes/node"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/pkg/run"
)

// Run serves until ctx is done. It listens on the kubelet's Unix sockets only.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	client, err := run.KubeClient(cfg.Kubernetes.Kubeconfig, "perijove-homes", 0)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(node.Folder(cfg.KubeletRoot), 0o750); err != nil {
		return fmt.Errorf("the driver's folder: %w", err)
	}
	unlock, err := lock(node.Folder(cfg.KubeletRoot))
	if err != nil {
		return err
	}
	defer unlock()
	if err := visible(cfg.KubeletRoot); err != nil {
		return err
	}
	plugin := &node.Plugin{
		Kubelet: cfg.KubeletRoot, Exports: cfg.ExportsFolder, Log: log,
		Claims: claims.Claims{Client: client, Namespace: cfg.Kubernetes.Namespace, Node: cfg.Node, Exports: cfg.Exports},
	}
	csi, registration := node.Servers(plugin)
	csiSocket, registrationSocket := node.Sockets(cfg.KubeletRoot)
	csiListener, err := run.Listen("unix:" + csiSocket)
	if err != nil {
		return err
	}
	registrationListener, err := run.Listen("unix:" + registrationSocket)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run.ServeGRPC(ctx, "csi", csiListener, csi, run.Grace, log) })
	g.Go(func() error { return run.ServeGRPC(ctx, "registration", registrationListener, registration, 0, log) })
	g.Go(func() error { return plugin.Claims.Run(ctx, plugin.Give) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// lock keeps a second driver off this node: two would mount one home twice on one folder. The kernel lets go of it when
// this process ends, however it ends.
func lock(folder string) (unlock func(), err error) {
	file, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the node: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another driver runs on this node: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// visible refuses to work where nothing that is mounted would be seen by pods.
func visible(kubelet string) error {
	mounts, err := mount.Mounts()
	if err != nil {
		return err
	}
	if !plan.SharedWith(mounts, kubelet) {
		return fmt.Errorf("%s is not shared with the machine: the pod must mount it with mountPropagation Bidirectional", kubelet)
	}
	return nil
}
