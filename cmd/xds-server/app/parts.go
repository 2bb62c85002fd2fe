package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/perijove/perijove/pkg/edge"
	"github.com/perijove/perijove/pkg/mtls"
	"github.com/perijove/perijove/pkg/serve"
	"github.com/perijove/perijove/pkg/xdsserve"
)

type registry = *prometheus.Registry

func servedTypes() []string {
	return []string{resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType}
}

func publishEdge(store *xdsserve.Store, s edge.Settings) error {
	var clusters []xdsserve.Resource
	for _, c := range edge.Clusters(s) {
		clusters = append(clusters, xdsserve.Resource{Name: c.GetName(), Message: c})
	}
	if _, err := store.Update(resourcev3.ClusterType, clusters); err != nil {
		return fmt.Errorf("publish clusters: %w", err)
	}
	listener := edge.Listener(s)
	if _, err := store.Update(resourcev3.ListenerType, []xdsserve.Resource{{Name: listener.GetName(), Message: listener}}); err != nil {
		return fmt.Errorf("publish listener: %w", err)
	}
	return nil
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
