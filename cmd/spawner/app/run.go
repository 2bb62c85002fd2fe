package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/hub"
	"github.com/perijove/perijove/pkg/hub/announce/board"
	"github.com/perijove/perijove/pkg/hub/assets"
	"github.com/perijove/perijove/pkg/hub/diskspace"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/hub/traffic"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
)

// writeBudget is how many calls of the API a second one replica makes to start and stop servers. A
// class of 500 needs some 80 of each of two replicas; more would only crowd out others at the API
// server, whatever went wrong here.
const writeBudget = 100

// Run starts the spawner and returns when ctx is done and everything has stopped, or at
// the first part that fails.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	// A client each: pages that read must not use up the rate limit of starts and stops.
	reads, err := run.KubeClient(cfg.Kubeconfig, "perijove-spawner", 0)
	if err != nil {
		return err
	}
	writes, err := run.KubeClient(cfg.Kubeconfig, "perijove-spawner", writeBudget)
	if err != nil {
		return err
	}
	return runWith(ctx, cfg, reads, writes, log)
}

// RunWith is Run with a given cluster, for tests without one.
func RunWith(ctx context.Context, cfg Config, client kubernetes.Interface, log *slog.Logger) error {
	return runWith(ctx, cfg, client, client, log)
}

func runWith(ctx context.Context, cfg Config, reads, writes kubernetes.Interface, log *slog.Logger) error {
	keys, err := podKeys(cfg)
	if err != nil {
		return err
	}
	trust, err := podTrust(cfg)
	if err != nil {
		return err
	}
	site, err := cfg.site()
	if err != nil {
		return err
	}
	pages, err := web.New()
	if err != nil {
		return err
	}
	serverTLS, clientTLS, err := peers(cfg)
	if err != nil {
		return err
	}
	reg := telemetry.NewRegistry()
	const watching, listed = "cluster", "profiles"
	health := telemetry.NewHealth(watching, listed)
	events, done := recorder(writes)
	defer done()
	list := profiles.New(reads, events, func(err error) { health.Set(listed, err) }, time.Now, reg, log,
		profiles.Settings{Namespace: cfg.Namespace, ConfigMap: cfg.ProfilesConfigMap})
	used := traffic.New(resolver(cfg.Use), clientTLS, time.Now, reg, log)
	files, err := sharedFiles(cfg, log)
	if err != nil {
		return err
	}
	cluster, err := kube.New(reads, writes, time.Now, reg, log, kube.Settings{
		Site:   cfg.servers(site, files.Digest),
		Policy: list.Policy, Warn: list.Warn, Keys: keys, Trust: trust, Traffic: used.Last, CullDryRun: cfg.CullDryRun,
		StartTimeout: cfg.StartTimeout, SpawnLimit: cfg.ConcurrentSpawnLimit, Namespaces: cfg.PublishedNamespaces,
	})
	if err != nil {
		return err
	}
	settings, err := measured(cfg, reads, log)
	if err != nil {
		return err
	}
	private, err := run.Listen(cfg.PrivateListen)
	if err != nil {
		return err
	}
	public, err := run.Listen(cfg.Listen)
	if err != nil {
		_ = private.Close()
		return err
	}
	messages := board.New(writes, cfg.Namespace, time.Now, log)
	culler := kube.NewCuller(cluster, events, reg, log)
	group, ctx := errgroup.WithContext(ctx)
	served := told(routestatus.NewClient(resolver(cfg.RouteStatus), clientTLS).WaitServed)
	settings.Site, settings.Board, settings.Done, settings.Assets = site, messages, ctx.Done(), files.First
	handler := hub.New(cluster, served, pages, log, settings).Handler()
	for _, part := range []func(context.Context) error{list.Run, cluster.Run, culler.Run, used.Run, files.Run, messages.Run, cluster.KeepHistory} {
		group.Go(func() error { return part(ctx) })
	}
	group.Go(func() error {
		return run.ServeHTTP(ctx, "private", private, nil, telemetry.PrivateHandler(health, reg, log), log)
	})
	group.Go(func() error {
		// Nothing is answered from an empty cache: every server would seem stopped.
		for name, synced := range map[string]<-chan struct{}{watching: cluster.Synced(), listed: list.Synced()} {
			select {
			case <-synced:
				health.Set(name, nil)
			case <-ctx.Done():
				return public.Close()
			}
		}
		return run.ServeHTTP(ctx, "hub", public, serverTLS, telemetry.HTTP(log, reg, "spawner", handler), log)
	})
	return group.Wait()
}

// measured returns where the hub asks what nodes say of servers, nowhere when no node is to be asked.
func measured(cfg Config, client kubernetes.Interface, log *slog.Logger) (hub.Settings, error) {
	if cfg.FreeSpaceAccount == "" {
		return hub.Settings{}, nil
	}
	authority, err := run.ClusterAuthority(cfg.Kubeconfig)
	if err != nil {
		return hub.Settings{}, err
	}
	nodes := diskspace.New(diskspace.Settings{
		Authority: authority, Port: diskspace.KubeletPort, Now: time.Now, Log: log,
		Token: run.AccountToken(client, cfg.Namespace, cfg.FreeSpaceAccount, time.Now),
	})
	return hub.Settings{Space: nodes.Space, Consumption: nodes.Consumption}, nil
}

// peers returns what the gateway must show here, and what it is shown.
func peers(cfg Config) (server, client *tls.Config, err error) {
	if server, err = mtls.Server(cfg.TLS, []string{contract.NameGateway}); err != nil {
		return nil, nil, err
	}
	client, err = mtls.Client(cfg.TLS, contract.NameGateway)
	return server, client, err
}

// sharedFiles asks the assets service which files of JupyterLab it has; nobody where there is none.
func sharedFiles(cfg Config, log *slog.Logger) (*assets.Client, error) {
	if cfg.Assets == "" {
		return &assets.Client{}, nil
	}
	conf, err := mtls.Client(cfg.TLS, contract.NameAssets)
	if err != nil {
		return nil, err
	}
	return assets.New(cfg.Assets, conf, log), nil
}

// told makes Envoy's refusal of a route a problem that users are told of.
func told(served hub.Served) hub.Served {
	return func(ctx context.Context, id server.ID, podUID string) error {
		err := served(ctx, id, podUID)
		if errors.As(err, new(*routestatus.Refusal)) {
			return &spawn.Problem{Message: spawn.MsgRouteRefused, Err: err}
		}
		return err
	}
}

// resolver returns a function that finds every address behind the given host:ports:
// each gateway replica has its own xds-server, and all must have the route.
func resolver(targets []string) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var all []string
		for _, target := range targets {
			host, port, err := net.SplitHostPort(target)
			if err != nil {
				return nil, fmt.Errorf("read xds-server address: %w", err)
			}
			addresses, err := net.DefaultResolver.LookupHost(ctx, host)
			if err != nil {
				return nil, fmt.Errorf("find xds-servers: %w", err)
			}
			for _, a := range addresses {
				all = append(all, net.JoinHostPort(a, port))
			}
		}
		return all, nil
	}
}

// recorder writes Events about the spawner's own configuration; done ends it.
func recorder(client kubernetes.Interface) (events record.EventRecorder, done func()) {
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: contract.NameSpawner}), b.Shutdown
}
