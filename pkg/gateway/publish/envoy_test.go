package publish_test

import (
	"context"
	"net"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/server"
)

// envoy is an Envoy's side of a stream over the real protocol server.
type envoy struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func connect(t *testing.T, store *ads.Store) *envoy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, ads.NewServer(store))
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	e := &envoy{t: t}
	if e.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: "e"}, TypeUrl: resourcev3.ScopedRouteType})
	return e
}

func (e *envoy) send(req *discoveryv3.DeltaDiscoveryRequest) {
	e.t.Helper()
	if err := e.stream.Send(req); err != nil {
		e.t.Fatal(err)
	}
}

// refuse answers responses until name has come alone: it refuses those with name, and ACKs others.
func (e *envoy) refuse(name, reason string) {
	e.t.Helper()
	for alone := false; !alone; {
		resp, err := e.stream.Recv()
		if err != nil {
			e.t.Fatal(err)
		}
		req := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()}
		for _, r := range resp.GetResources() {
			if r.GetName() == name {
				req.ErrorDetail = &statusv3.Status{Message: reason}
				alone = len(resp.GetResources()) == 1
			}
		}
		e.send(req)
	}
	resp, err := e.stream.Recv() // the others
	if err != nil {
		e.t.Fatal(err)
	}
	e.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resp.GetTypeUrl(), ResponseNonce: resp.GetNonce()})
}

// wait is Wait with little patience for what does not come.
func (f *env) wait(t *testing.T, id server.ID, uid string) routestatus.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return f.Wait(ctx, id, uid)
}
