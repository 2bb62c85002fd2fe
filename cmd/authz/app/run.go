package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/auth/accountpages"
	"github.com/perijove/perijove/pkg/auth/check"
	"github.com/perijove/perijove/pkg/auth/input"
	"github.com/perijove/perijove/pkg/auth/login"
	"github.com/perijove/perijove/pkg/auth/traffic"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
)

// maxCheck bounds one check request in bytes; Envoy refuses headers over 60 KiB.
const maxCheck = 256 << 10

// Run serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	// No limit on this side: a class that logs in at once would wait behind itself. The API server
	// shares its own fairly (API Priority and Fairness).
	client, err := run.KubeClient(cfg.Kubernetes.Kubeconfig, "perijove-authz", 0)
	if err != nil {
		return err
	}
	return RunWith(ctx, cfg, client, log)
}

// RunWith is Run with a Kubernetes client of the caller's: tests bring a fake one.
func RunWith(ctx context.Context, cfg Config, client kubernetes.Interface, log *slog.Logger) error {
	site, err := cfg.site()
	if err != nil {
		return err
	}
	sessions, err := cfg.sessionRing()
	if err != nil {
		return err
	}
	passes, err := cfg.passRing()
	if err != nil {
		return err
	}
	renderer, err := web.New()
	if err != nil {
		return err
	}
	reg := telemetry.NewRegistry()
	ready := telemetry.NewHealth(checkRevocations, checkAccounts, "listening")
	directory, providers := cfg.directory(), cfg.providers(sessions)
	used := traffic.New(time.Now)
	users := newStores(cfg, client, directory, providers, reg, log)
	checks := check.New(users.keeper, sessions, passes, renderer, reg, check.Settings{
		Site: site, PassTTL: cfg.PassTTL, Used: used.Used, Now: time.Now, Log: log,
	})
	pages := newMux(passes, renderer, log)
	login.New(users.keeper, sessions, passes, renderer, reg, login.Settings{
		Check: checker(directory, log), Method: methodLDAP, Providers: providers, Site: site,
		Lifetime: cfg.SessionLifetime, PassTTL: cfg.PassTTL, KeepLoggedIn: cfg.KeepLoggedIn, Now: time.Now, Log: log,
	}).Register(pages)
	accountpages.New(users.keeper, renderer, accountpages.Settings{Now: time.Now, Log: log}).Register(pages)

	g, ctx := errgroup.WithContext(ctx)
	private, err := run.Listen(cfg.PrivateListen)
	if err != nil {
		return fmt.Errorf("private port: %w", err)
	}
	g.Go(func() error {
		return run.ServeHTTP(ctx, "private", private, nil, telemetry.PrivateHandler(ready, reg, log), log)
	})
	users.run(ctx, g, ready)
	followKeys(ctx, g, cfg, sessions, passes, log)
	g.Go(func() error {
		// No user is let in before the list of ended sessions is loaded: a restart would
		// revive those. Envoy answers 503 meanwhile, and new replicas are not ready.
		if !users.waitSynced(ctx, ready) {
			return nil
		}
		inputs := input.New(users.keeper, reg, input.Settings{Now: time.Now, Log: log, Used: used.Used, Stop: ctx.Done()})
		if err := serveEnvoy(ctx, g, cfg, checks, inputs, log); err != nil {
			return err
		}
		l, conf, err := listenFor(cfg, cfg.Listen.HTTP, contract.NameGateway)
		if err != nil {
			return fmt.Errorf("login pages: %w", err)
		}
		handler := telemetry.HTTP(log, reg, "authz", pages)
		g.Go(func() error { return run.ServeHTTP(ctx, "login", l, conf, handler, log) })
		if err := serveUse(ctx, g, cfg, used, log); err != nil {
			return err
		}
		ready.Set("listening", nil)
		return nil
	})
	return g.Wait()
}

// serveUse tells the spawner when servers were last used.
func serveUse(ctx context.Context, g *errgroup.Group, cfg Config, used *traffic.Book, log *slog.Logger) error {
	if cfg.Listen.Use == "" {
		return nil
	}
	l, conf, err := listenFor(cfg, cfg.Listen.Use, contract.NameSpawner)
	if err != nil {
		return fmt.Errorf("reports of use: %w", err)
	}
	g.Go(func() error { return run.ServeHTTP(ctx, "use", l, conf, used.Handler(), log) })
	return nil
}

// serveEnvoy answers ext_authz and gRPC health checks, and takes reports about websockets.
func serveEnvoy(ctx context.Context, g *errgroup.Group, cfg Config, checks *check.Server, inputs *input.Server, log *slog.Logger) error {
	l, conf, err := listenFor(cfg, cfg.Listen.GRPC, contract.NameGateway)
	if err != nil {
		return fmt.Errorf("ext_authz: %w", err)
	}
	options := []grpc.ServerOption{grpc.MaxRecvMsgSize(maxCheck)}
	if conf != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(conf)))
	}
	srv, status := grpc.NewServer(options...), health.NewServer()
	authv3.RegisterAuthorizationServer(srv, checks)
	accesslogv3.RegisterAccessLogServiceServer(srv, inputs)
	healthv1.RegisterHealthServer(srv, status)
	context.AfterFunc(ctx, status.Shutdown)
	g.Go(func() error { return run.ServeGRPC(ctx, "ext_authz", l, srv, run.Grace, log) })
	return nil
}
