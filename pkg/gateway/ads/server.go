package ads

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	deltav3 "github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MaxRequestBytes is the largest request that the server must accept: an Envoy that
// reconnects names every resource that it has (100 000 of up to 300 bytes).
const MaxRequestBytes = 64 << 20

// Server is the ADS service over a Store: delta only.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	store *Store
}

// NewServer returns the service to register on a gRPC server. It holds no listener:
// the port decides which clients may connect (mtls, or a Unix socket of mode 0600).
func NewServer(store *Store) *Server { return &Server{store: store} }

// StreamAggregatedResources refuses state-of-the-world xDS in plain words.
func (s *Server) StreamAggregatedResources(discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return status.Error(codes.Unimplemented, "only delta ADS is served: set api_type: DELTA_GRPC in the bootstrap")
}

// DeltaAggregatedResources serves one Envoy until it leaves or the server stops.
func (s *Server) DeltaAggregatedResources(str discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &stream{store: s.store, types: map[string]*typeState{}}
	return deltav3.NewServer(str.Context(), st, st).DeltaStreamHandler(str, resourcev3.AnyType)
}
