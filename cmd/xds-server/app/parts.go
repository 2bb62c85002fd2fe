package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/edge"
	"github.com/perijove/perijove/pkg/edgecert"
	"github.com/perijove/perijove/pkg/mtls"
	"github.com/perijove/perijove/pkg/origin"
	"github.com/perijove/perijove/pkg/serve"
	"github.com/perijove/perijove/pkg/xdsserve"
)

type registry = *prometheus.Registry

func servedTypes() []string {
	return []string{resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType, resourcev3.SecretType}
}

func edgeSettings(cfg Config, site origin.Site) edge.Settings {
	return edge.Settings{
		Address: cfg.Envoy.Address, Port: cfg.Envoy.Port, Site: site, TrustedHops: cfg.Envoy.TrustedHops, PassChecked: cfg.Envoy.CheckPasses,
		TLS: cfg.Envoy.TLS.Secret != "", RedirectPort: cfg.Envoy.TLS.RedirectPort,
		Authz: cfg.Upstreams.Authz, Login: cfg.Upstreams.Login, Hub: cfg.Upstreams.Hub,
	}
}

func publishEdge(store *xdsserve.Store, s edge.Settings) error {
	var clusters []xdsserve.Resource
	for _, c := range edge.Clusters(s) {
		clusters = append(clusters, xdsserve.Resource{Name: c.GetName(), Message: c})
	}
	if _, err := store.Update(resourcev3.ClusterType, clusters); err != nil {
		return fmt.Errorf("publish clusters: %w", err)
	}
	var listeners []xdsserve.Resource
	for _, l := range edge.Listeners(s) {
		listeners = append(listeners, xdsserve.Resource{Name: l.GetName(), Message: l})
	}
	if _, err := store.Update(resourcev3.ListenerType, listeners); err != nil {
		return fmt.Errorf("publish listeners: %w", err)
	}
	return nil
}

// watchCertificate returns once the public certificate, if there is to be one, is
// known: an Envoy that connects earlier would be told that it is gone.
func watchCertificate(ctx context.Context, client kubernetes.Interface, cfg Config, store *xdsserve.Store, reports *reports, reg registry) error {
	where := cfg.Envoy.TLS
	if where.Secret == "" {
		return nil
	}
	site, err := url.Parse(cfg.PublicURL)
	if err != nil {
		return fmt.Errorf("read the public URL: %w", err)
	}
	publish := func(secret *tlsv3.Secret) error {
		_, err := store.Update(resourcev3.SecretType, []xdsserve.Resource{{Name: secret.GetName(), Message: secret}})
		return err
	}
	hosts := []string{site.Hostname()}
	if cfg.UserDomain != "" {
		hosts = append(hosts, "any-person."+cfg.UserDomain)
	}
	keeper := edgecert.NewKeeper(hosts, publish, reports.certificate(where.Namespace, where.Secret, reg), time.Now)
	certificateGauge(reg, keeper)
	return edgecert.Watch(ctx, client, where.Namespace, where.Secret, keeper)
}

// xdsCredentials: a Unix socket is protected by its mode, a TCP port by mutual TLS
// below gRPC, so that no method can be forgotten.
func xdsCredentials(cfg Config) ([]grpc.ServerOption, error) {
	if serve.IsUnix(cfg.Listen.XDS) {
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
