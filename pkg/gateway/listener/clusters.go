package listener

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// Names of the static secrets in envoy/bootstrap.yaml: Envoy's own certificate,
// and the CA that internal peers' certificates must have.
const (
	SecretGateway = "gateway"
	SecretCA      = "internal-ca"
)

const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// Clusters returns every upstream, sorted by name. Addresses must have passed
// CheckUpstream.
func Clusters(s Settings) []*clusterv3.Cluster {
	list := []*clusterv3.Cluster{
		upstream(contract.ClusterAuthz, s.Authz, contract.NameGateway, true),
		upstream(string(contract.UpstreamHub), s.Hub, contract.NameSpawner, false),
		upstream(string(contract.UpstreamLogin), s.Login, contract.NameGateway, false),
		pods(contract.ClusterPods),
		provenPods(s.ServersCA),
	}
	if s.Assets != "" {
		list = slices.Insert(list, 0, assets(s.Assets))
	}
	return list
}

// assets gives up on a service that does not answer, for some seconds: servers have the same files
// (scopes.assetsRoute), and no browser should wait for each of them first.
func assets(address string) *clusterv3.Cluster {
	const failures, pause = 3, 10 * time.Second
	c := upstream(string(contract.UpstreamAssets), address, contract.NameAssets, false)
	c.OutlierDetection = &clusterv3.OutlierDetection{
		ConsecutiveGatewayFailure: wrapperspb.UInt32(failures), EnforcingConsecutiveGatewayFailure: wrapperspb.UInt32(100), //nolint:mnd // per cent
		Consecutive_5Xx: wrapperspb.UInt32(failures), Interval: durationpb.New(time.Second), BaseEjectionTime: durationpb.New(pause),
		MaxEjectionTime: durationpb.New(pause), MaxEjectionPercent: wrapperspb.UInt32(100), //nolint:mnd // per cent
	}
	// By default Envoy uses an address that it has given up when it has no other.
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{}}
	return c
}

// CheckUpstream reports why address is neither "unix:/path" nor "host:port".
func CheckUpstream(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("socket path %q is not absolute", path)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %q is not a port", port)
	}
	return nil
}

// pods is one cluster of many servers: the route says which address, so a new
// server costs no cluster, no endpoint and no statistics.
func pods(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		LbConfig: &clusterv3.Cluster_OriginalDstLbConfig_{OriginalDstLbConfig: &clusterv3.Cluster_OriginalDstLbConfig{
			UseHttpHeader:  true,
			HttpHeaderName: contract.HeaderDestination,
		}},
		ConnectTimeout:                durationpb.New(connectTimeout),
		CleanupInterval:               durationpb.New(time.Minute),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		CircuitBreakers:               breakers(),
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: &corev3.TcpKeepalive{
			KeepaliveTime: wrapperspb.UInt32(60), KeepaliveInterval: wrapperspb.UInt32(10), KeepaliveProbes: wrapperspb.UInt32(3),
		}},
	}
}

// breakers lift Envoy's default of 1024: a class of students opens more websockets. That of three
// retries at one time goes too: all whose spawner is killed try again.
func breakers() *clusterv3.CircuitBreakers {
	many := wrapperspb.UInt32(100_000)
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: many, MaxRequests: many, MaxPendingRequests: many, MaxRetries: many,
	}}}
}

func upstream(name, address, peer string, grpc bool) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:            name,
		ConnectTimeout:  durationpb.New(connectTimeout),
		CircuitBreakers: breakers(),
	}
	path, unix := strings.CutPrefix(address, "unix:")
	if unix {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.LoadAssignment = assignment(name, &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}})
	} else {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.LoadAssignment = assignment(name, tcpAddress(address))
		c.TransportSocket = mutualTLS(peer)
	}
	if grpc || !unix {
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptions: envoyapi.Pack(http2Only())}
	}
	return c
}

func tcpAddress(address string) *corev3.Address {
	host, port, _ := net.SplitHostPort(address)
	n, _ := strconv.ParseUint(port, 10, 16)
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(n)},
	}}}
}

func assignment(name string, address *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: name,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
		}}}},
	}
}

func http2Only() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
		ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
					// A node that is gone says nothing: its connections would hang for minutes.
					ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: durationpb.New(10 * time.Second), Timeout: durationpb.New(3 * time.Second)}, //nolint:mnd // here only
				},
			},
		},
	}}
}

// mutualTLS shows Envoy's certificate and accepts only peer's, by DNS SAN.
func mutualTLS(peer string) *corev3.TransportSocket {
	return upstreamTLS(&tlsv3.UpstreamTlsContext{
		Sni: peer,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      onlyTLS13(),
			AlpnProtocols:                  []string{"h2"},
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: SecretGateway}},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext: &tlsv3.CertificateValidationContext{
						MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
							SanType: tlsv3.SubjectAltNameMatcher_DNS,
							Matcher: envoyapi.ExactString(peer),
						}},
					},
					ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: SecretCA},
				},
			},
		},
	})
}

// onlyTLS13 sets the maximum too: without it Envoy, as a client, offers TLS 1.2 at most.
func onlyTLS13() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
	}
}

func upstreamTLS(context *tlsv3.UpstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: envoyapi.Pack(context)},
	}
}
