package main

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/perijove/perijove/bench/internal/edge"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/keys"
)

// part is one line of the table: our listener with only these filters.
type part struct {
	name    string
	plain   bool
	filters []string
	// answers says that the script sees servers' answers, too.
	answers bool
}

func parts() []part {
	jwt := []string{envoyapi.JWTFilter}
	asked := append(slices.Clone(jwt), envoyapi.ExtAuthzFilter)
	tamed := append(slices.Clone(asked), envoyapi.ConfineFilter)
	packed := append(slices.Clone(tamed), envoyapi.CompressFilter)
	return []part{
		{name: "plain Envoy, one route", plain: true},
		{name: "a scope a user, the hardened edge, ORIGINAL_DST"},
		{name: "+ the form judged, the pass verified (jwt_authn)", filters: jwt},
		{name: "+ authz skipped (composite)", filters: asked},
		{name: "+ the pass's owner compared, our cookies cut out (Lua)", filters: tamed},
		{name: "+ servers' answers confined (the same script)", filters: tamed, answers: true},
		{name: "+ scripts and styles compressed (this reply is none)", filters: packed, answers: true},
	}
}

// env is what all parts share: alice's pod and pass.
type env struct {
	pod  netip.AddrPort
	jwks []byte
	pass string
}

func newEnv(pod netip.AddrPort) (*env, error) {
	key, err := keys.PEM()
	if err != nil {
		return nil, err
	}
	ring, err := pass.NewRing(key)
	if err != nil {
		return nil, err
	}
	h := &env{pod: pod}
	if h.jwks, err = ring.JWKS(); err != nil {
		return nil, err
	}
	now := time.Now()
	s := session.New(access.User{Name: "alice", DisplayName: "Alice Liddell"}, "ldap", now, 12*time.Hour)
	h.pass, err = ring.Sign(pass.New(s, "alice", now, 2*time.Hour))
	return h, err
}

// bootstrap is a static configuration: the same listener as the xds-server's, its routes
// and keys inline.
func (h *env) bootstrap(p part, port, admin uint32) (*bootstrapv3.Bootstrap, error) {
	boot, err := edge.Edge{
		Host: host, Port: port, Admin: admin, Filters: p.filters,
		Servers: []server.Server{{ID: server.ID{User: "alice"}, Namespace: "perijove", Pod: "jupyter-alice", Addr: h.pod, Nonce: "nonce"}},
		Change: func(manager *hcmv3.HttpConnectionManager) error {
			script := edge.Filter(manager, envoyapi.ConfineFilter, &luav3.Lua{}, func(config *luav3.Lua) {
				if !p.answers {
					config.DefaultSourceCode = requestsOnly(config.GetDefaultSourceCode().GetInlineString())
				}
			})
			return errors.Join(script, edge.Filter(manager, envoyapi.JWTFilter, &jwtv3.JwtAuthentication{}, func(config *jwtv3.JwtAuthentication) {
				config.GetProviders()["pass"].JwksSourceSpecifier = &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
					Specifier: &corev3.DataSource_InlineBytes{InlineBytes: h.jwks},
				}}
			}))
		},
	}.Bootstrap()
	if err != nil || !p.plain {
		return boot, err
	}
	static := boot.GetStaticResources()
	static.Clusters = []*clusterv3.Cluster{h.oneCluster()}
	static.GetListeners()[0].GetFilterChains()[0].GetFilters()[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: envoyapi.Pack(plain())}
	return boot, nil
}

// requestsOnly cuts off what the script does with servers' answers.
func requestsOnly(script string) *corev3.DataSource {
	before, _, found := strings.Cut(script, "function envoy_on_response(")
	if !found {
		panic("the script does nothing with answers") // ours has changed
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: before}}
}

// plain is what any design on top of Envoy is measured against: one route, the router.
func plain() *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: "plain",
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: envoyapi.Pack(&routerv3.Router{})},
		}},
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "pod"}}},
			}}}},
		}},
	}
}

func (h *env) oneCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: "pod", ConnectTimeout: durationpb.New(time.Second),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: "pod", Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: address(h.pod.Addr().String(), uint32(h.pod.Port()))},
			}}},
		}}},
	}
}

func address(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}
