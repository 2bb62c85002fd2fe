package listener

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Settings are an installation's choices about its edge.
type Settings struct {
	// Address and Port are where Envoy listens.
	Address string
	Port    uint32
	// Site says which hosts are answered.
	Site origin.Site
	// TrustedHops is how many proxies in front of Envoy are ours (a cloud's load
	// balancer, an Ingress): so many X-Forwarded-For entries from the right are believed.
	TrustedHops uint32
	// TLS makes the public listener speak TLS only, with the certificate that SDS
	// brings under contract.CertificateName.
	TLS bool
	// RedirectPort, unless 0, is a plain-text port that redirects to https.
	RedirectPort uint32
	// PassChecked lets Envoy judge passes by itself. Without it authz is asked about each
	// request.
	PassChecked bool
	// ServersCA is the PEM text of the CA that issues spawned pods' certificates. It must
	// have passed CheckCA.
	ServersCA string
	// Authz, Login, Hub and Assets are where the services answer: "unix:/path" or "host:port".
	// Assets is "" where there is no such service.
	Authz, Login, Hub, Assets string
}

// Limits against slow and greedy clients (Envoy's edge best practices).
const (
	headersTimeout     = 10 * time.Second
	connectionIdle     = time.Hour
	streamIdle         = 5 * time.Minute
	authzTimeout       = 2 * time.Second // authz under load is slow before it is dead (R13)
	connectTimeout     = 2 * time.Second
	bufferLimit        = 256 << 10
	h2MaxStreams       = 100
	h2StreamWindow     = 256 << 10
	h2ConnectionWindow = 1 << 20
)

// Listener returns the public listener. The same settings always give the same
// bytes: a listener that only looks changed would drop everyone's kernels.
func Listener(s Settings) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name: contract.ListenerName,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       s.Address,
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: s.Port},
		}}},
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		FilterChains: []*listenerv3.FilterChain{{
			TransportSocket:               publicTLS(s),
			TransportSocketConnectTimeout: durationpb.New(headersTimeout),
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: envoyapi.Pack(connectionManager(s))},
			}},
		}},
	}
}

func connectionManager(s Settings) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: contract.ListenerName,
		// Servers get paths byte for byte; formRules refuse the ones with two readings.
		NormalizePath:                 wrapperspb.Bool(false),
		PathWithEscapedSlashesAction:  hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		UseRemoteAddress:              wrapperspb.Bool(true),
		XffNumTrustedHops:             s.TrustedHops,
		InternalAddressConfig:         noInternalClients(),
		AlwaysSetRequestIdInResponse:  true,
		RequestHeadersTimeout:         durationpb.New(headersTimeout),
		StreamIdleTimeout:             durationpb.New(streamIdle),
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{earlyMutations()},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  durationpb.New(connectionIdle),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		HttpProtocolOptions: http1(),
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			AllowConnect:                true, // websockets over HTTP/2 (RFC 8441); a route must still allow the upgrade
			MaxConcurrentStreams:        wrapperspb.UInt32(h2MaxStreams),
			InitialStreamWindowSize:     wrapperspb.UInt32(h2StreamWindow),
			InitialConnectionWindowSize: wrapperspb.UInt32(h2ConnectionWindow),
		},
		RouteSpecifier:   &hcmv3.HttpConnectionManager_ScopedRoutes{ScopedRoutes: scopedRoutes()},
		HttpFilters:      chain(append(checks(s), compressors())),
		UpgradeConfigs:   websockets(checks(s)),
		LocalReplyConfig: localReplies(s.Site),
		AccessLog:        accessLogs(),
		AccessLogOptions: whileOpen(),
	}
}

// noHost is the host of a request that has none (RFC 2606 §2).
const noHost = "no-host.invalid"

// http1 accepts HTTP/1.0, which ab, nginx's proxy_pass and health checks speak by default. A
// request without a Host gets a name that is never ours.
func http1() *corev3.Http1ProtocolOptions {
	return &corev3.Http1ProtocolOptions{AcceptHttp_10: true, DefaultHostForHttp_10: noHost}
}

// noInternalClients makes no client "internal": Envoy obeys the x-envoy-* headers of an
// internal client, such as timeouts and retries (H4). Envoy takes an empty list for its
// default, all private networks, so the list names the broadcast address, from which no
// client can send.
func noInternalClients() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{CidrRanges: []*corev3.CidrRange{{
		AddressPrefix: "255.255.255.255", PrefixLen: wrapperspb.UInt32(32),
	}}}
}

// scopedRoutes picks the scope by the second segment of the path without its query.
func scopedRoutes() *hcmv3.ScopedRoutes {
	return &hcmv3.ScopedRoutes{
		Name: contract.ScopedRoutesName,
		ScopeKeyBuilder: &hcmv3.ScopedRoutes_ScopeKeyBuilder{
			Fragments: []*hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{{
				Type: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_{
					HeaderValueExtractor: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor{
						Name:             contract.HeaderScope,
						ElementSeparator: "/",
						ExtractType: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index{
							Index: 2,
						},
					},
				},
			}},
		},
		ConfigSpecifier: &hcmv3.ScopedRoutes_ScopedRds{ScopedRds: &hcmv3.ScopedRds{ScopedRdsConfigSource: ads()}},
	}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: envoyapi.Pack(config)}}
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		// No timeout: an Envoy without routes must stay unready, not answer 404.
		InitialFetchTimeout: durationpb.New(0),
	}
}
