package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/certificate"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/web/origin"
)

type registry = *prometheus.Registry

func servedTypes() []string {
	return []string{resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType, resourcev3.SecretType}
}

func edgeSettings(cfg Config, site origin.Site) (listener.Settings, error) {
	ca, err := os.ReadFile(cfg.ServersCAFile)
	if err != nil {
		return listener.Settings{}, fmt.Errorf("read the servers' CA: %w", err)
	}
	if err := listener.CheckCA(ca); err != nil {
		return listener.Settings{}, fmt.Errorf("the servers' CA in %s %w", cfg.ServersCAFile, err)
	}
	return listener.Settings{
		Address: cfg.Envoy.Address, Port: cfg.Envoy.Port, Site: site, TrustedHops: cfg.Envoy.TrustedHops, PassChecked: cfg.Envoy.CheckPasses,
		TLS: cfg.Envoy.TLS.Secret != "", RedirectPort: cfg.Envoy.TLS.RedirectPort,
		Authz: cfg.Upstreams.Authz, Login: cfg.Upstreams.Login, Hub: cfg.Upstreams.Hub, Assets: cfg.Upstreams.Assets,
		ServersCA: string(ca),
	}, nil
}

func publishEdge(store *ads.Store, s listener.Settings) error {
	var clusters []ads.Resource
	for _, c := range listener.Clusters(s) {
		clusters = append(clusters, ads.Resource{Name: c.GetName(), Message: c})
	}
	if err := store.Update(resourcev3.ClusterType, clusters); err != nil {
		return fmt.Errorf("publish clusters: %w", err)
	}
	var listeners []ads.Resource
	for _, l := range listener.Listeners(s) {
		listeners = append(listeners, ads.Resource{Name: l.GetName(), Message: l})
	}
	if err := store.Update(resourcev3.ListenerType, listeners); err != nil {
		return fmt.Errorf("publish listeners: %w", err)
	}
	return nil
}

// certificateKeeper keeps the public certificate; nil without TLS.
func certificateKeeper(client kubernetes.Interface, cfg Config, store *ads.Store, reports *reports, reg registry) (*certificate.Keeper, error) {
	where := cfg.Envoy.TLS
	if where.Secret == "" {
		return nil, nil
	}
	site, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("read the public URL: %w", err)
	}
	publish := func(secret *tlsv3.Secret) error {
		return store.Update(resourcev3.SecretType, []ads.Resource{{Name: secret.GetName(), Message: secret}})
	}
	hosts := []string{site.Hostname()}
	if cfg.UserDomain != "" {
		hosts = append(hosts, "any-person."+cfg.UserDomain)
	}
	keeper := certificate.New(client, publish, reports.certificate(where.Namespace, where.Secret, reg), time.Now,
		certificate.Settings{Namespace: where.Namespace, Secret: where.Secret, Hosts: hosts})
	certificateGauge(reg, keeper)
	return keeper, nil
}

// source is a part that is filled from Kubernetes.
type source interface {
	Run(ctx context.Context) error
	Synced() <-chan struct{}
}

// fill runs a source in the background and returns once it has synced, or ctx is done.
func fill(ctx context.Context, g *errgroup.Group, s source) error {
	g.Go(func() error { return s.Run(ctx) })
	select {
	case <-s.Synced():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// xdsCredentials: a Unix socket is protected by its mode, a TCP port by mutual TLS
// below gRPC, so that no method can be forgotten.
func xdsCredentials(cfg Config) ([]grpc.ServerOption, error) {
	if run.IsUnix(cfg.Listen.XDS) {
		return nil, nil
	}
	conf, err := mtls.Server(cfg.TLS, cfg.Clients.XDS)
	if err != nil {
		return nil, fmt.Errorf("xDS port: %w", err)
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(conf))}, nil
}

// keepAlive notices an Envoy whose node vanished, so that it holds up no spawn.
func keepAlive() grpc.ServerOption {
	return grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second})
}

func stopped(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
