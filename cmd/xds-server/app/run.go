package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/podwatch"
	"github.com/perijove/perijove/pkg/gateway/publish"
	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/run/telemetry"
)

// Run serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	client, err := run.KubeClient(cfg.Kubernetes.Kubeconfig, "perijove-xds-server", 0)
	if err != nil {
		return err
	}
	return RunWith(ctx, cfg, client, log)
}

// RunWith is Run with a Kubernetes client of the caller's: tests bring a fake one.
func RunWith(ctx context.Context, cfg Config, client kubernetes.Interface, log *slog.Logger) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	site, err := cfg.site()
	if err != nil {
		return err
	}
	key, err := config.SecretFile(cfg.ServerKeyFile, 32)
	if err != nil {
		return err
	}
	edge, err := edgeSettings(cfg, site)
	if err != nil {
		return err
	}
	reg := telemetry.NewRegistry()
	health := telemetry.NewHealth("pods", "xds")
	reports := newReports(client, log, reg)
	defer reports.close()

	store := ads.NewStore(reports.nack, servedTypes()...)
	pub := publish.New(store, reports.skipped, scopes.Settings{Site: site, ServerKey: key, PassChecked: cfg.Envoy.CheckPasses, Assets: cfg.Upstreams.Assets != ""}, cfg.Shard)
	reports.gauges(reg, store, pub)
	if err := publishEdge(store, edge); err != nil {
		return err
	}
	keeper, err := certificateKeeper(client, cfg, store, reports, reg)
	if err != nil {
		return err
	}

	g, ctx := errgroup.WithContext(ctx)
	if err := servePrivate(ctx, g, cfg, health, reg, log); err != nil {
		return err
	}
	g.Go(func() error {
		if err := fill(ctx, g, podwatch.New(client, pub, cfg.Kubernetes.Namespaces)); err != nil {
			return err
		}
		health.Set("pods", nil)
		if keeper != nil {
			if err := fill(ctx, g, keeper); err != nil {
				return err
			}
		}
		// Not earlier: an incomplete set would withdraw running servers from an Envoy.
		if err := pub.Start(); err != nil {
			return err
		}
		if err := serveXDS(ctx, g, cfg, store, log); err != nil {
			return err
		}
		health.Set("xds", nil)
		return serveStatus(ctx, g, cfg, telemetry.HTTP(log, reg, "xds-server", routestatus.Handler(pub)), log)
	})
	return stopped(g.Wait())
}

func servePrivate(ctx context.Context, g *errgroup.Group, cfg Config, health *telemetry.Health, reg registry, log *slog.Logger) error {
	l, err := run.Listen(cfg.Listen.Private)
	if err != nil {
		return fmt.Errorf("private port: %w", err)
	}
	g.Go(func() error {
		return run.ServeHTTP(ctx, "private", l, nil, telemetry.PrivateHandler(health, reg, log), log)
	})
	return nil
}

func serveXDS(ctx context.Context, g *errgroup.Group, cfg Config, store *ads.Store, log *slog.Logger) error {
	creds, err := xdsCredentials(cfg)
	if err != nil {
		return err
	}
	l, err := run.Listen(cfg.Listen.XDS)
	if err != nil {
		return fmt.Errorf("xDS port: %w", err)
	}
	srv := grpc.NewServer(append(creds, grpc.MaxRecvMsgSize(ads.MaxRequestBytes), keepAlive())...)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, ads.NewServer(store))
	g.Go(func() error { return run.ServeGRPC(ctx, "xds", l, srv, 0, log) })
	return nil
}

func serveStatus(ctx context.Context, g *errgroup.Group, cfg Config, handler http.Handler, log *slog.Logger) error {
	if cfg.Listen.Status == "" {
		return nil
	}
	conf, err := mtls.Server(cfg.TLS, cfg.Clients.Status)
	if err != nil {
		return fmt.Errorf("status port: %w", err)
	}
	l, err := run.Listen(cfg.Listen.Status)
	if err != nil {
		return fmt.Errorf("status port: %w", err)
	}
	g.Go(func() error { return run.ServeHTTP(ctx, "status", l, conf, handler, log) })
	return nil
}
