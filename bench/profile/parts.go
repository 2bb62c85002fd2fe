package main

import (
	"net/netip"
	"slices"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/keys"
)

// part is one line of the table: our listener with only these filters.
type part struct {
	name    string
	plain   bool
	filters []string
}

func parts() []part {
	jwt := []string{envoyapi.JWTFilter}
	asked := append(slices.Clone(jwt), envoyapi.ExtAuthzFilter)
	ruled := append(slices.Clone(asked), envoyapi.RBACFilter)
	tamed := append(slices.Clone(ruled), envoyapi.ConfineFilter)
	packed := append(slices.Clone(tamed), envoyapi.BrotliFilter, envoyapi.ZstdFilter, envoyapi.GzipFilter)
	return []part{
		{name: "plain Envoy, one route", plain: true},
		{name: "a scope a user, the hardened edge, ORIGINAL_DST"},
		{name: "+ the form judged, the pass verified (jwt_authn)", filters: jwt},
		{name: "+ authz skipped (composite)", filters: asked},
		{name: "+ the route's rule (RBAC)", filters: ruled},
		{name: "+ our cookies cut out, servers' answers confined (Lua)", filters: tamed},
		{name: "+ scripts and styles compressed (this reply is none)", filters: packed},
	}
}

// env is what all parts share: alice's pod, route and pass.
type env struct {
	pod   netip.AddrPort
	route []*routev3.ScopedRouteConfiguration
	jwks  []byte
	pass  string
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
	if h.pass, err = ring.Sign(pass.New(s, "alice", now, 2*time.Hour)); err != nil {
		return nil, err
	}
	settings := scopes.Settings{Site: origin.Site{Scheme: "http", Hosts: []string{"*"}}, ServerKey: make([]byte, 32), PassChecked: true}
	scopes, _, _ := scopes.ForUser(settings, "alice", []server.Server{{
		ID: server.ID{User: "alice"}, Namespace: "perijove", Pod: "jupyter-alice", Addr: pod, Nonce: "nonce", Created: now,
	}})
	for _, scope := range scopes {
		h.route = append(h.route, scope.Route)
	}
	return h, nil
}

// bootstrap is a static configuration: the same listener as the xds-server's, its routes
// and keys inline, no access log.
func (h *env) bootstrap(p part, port, admin uint32) *bootstrapv3.Bootstrap {
	settings := listener.Settings{
		Address: "127.0.0.1", Port: port, Site: origin.Site{Scheme: "http", Hosts: []string{"hub.example"}}, PassChecked: true,
		Authz: "unix:/nowhere/authz", Login: "unix:/nowhere/login", Hub: "unix:/nowhere/hub",
	}
	public := listener.Listener(settings)
	// Clusters that speak TLS name secrets of the bootstrap file, and no request here goes there.
	clusters := slices.DeleteFunc(listener.Clusters(settings), func(c *clusterv3.Cluster) bool { return c.GetTransportSocket() != nil })
	manager := &hcmv3.HttpConnectionManager{}
	filter := public.GetFilterChains()[0].GetFilters()[0]
	must(filter.GetTypedConfig().UnmarshalTo(manager))
	manager.AccessLog, manager.UpgradeConfigs = nil, nil
	if p.plain {
		manager = plain()
		clusters = append(clusters, h.oneCluster())
	} else {
		h.keep(manager, p.filters)
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(manager)}
	return &bootstrapv3.Bootstrap{
		Admin:           &bootstrapv3.Admin{Address: address("127.0.0.1", admin)},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{public}, Clusters: clusters},
	}
}

func (h *env) keep(manager *hcmv3.HttpConnectionManager, filters []string) {
	last := len(manager.HttpFilters) - 1
	manager.HttpFilters = slices.DeleteFunc(slices.Clone(manager.GetHttpFilters()), func(f *hcmv3.HttpFilter) bool {
		return f.GetName() != manager.HttpFilters[last].GetName() && !slices.Contains(filters, f.GetName())
	})
	for _, f := range manager.GetHttpFilters() {
		if f.GetName() != envoyapi.JWTFilter {
			continue
		}
		config := &jwtv3.JwtAuthentication{}
		must(f.GetTypedConfig().UnmarshalTo(config))
		provider := config.GetProviders()["pass"]
		if provider != nil {
			provider.JwksSourceSpecifier = &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineBytes{InlineBytes: h.jwks},
			}}
		}
		f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(config)}
	}
	scopes := make([]*routev3.ScopedRouteConfiguration, len(h.route))
	for i, scope := range h.route {
		scopes[i] = proto.CloneOf(scope)
		for _, r := range scopes[i].GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
			for name := range r.GetTypedPerFilterConfig() {
				if !slices.Contains(filters, name) {
					delete(r.TypedPerFilterConfig, name)
				}
			}
		}
	}
	manager.GetScopedRoutes().ConfigSpecifier = &hcmv3.ScopedRoutes_ScopedRouteConfigurationsList{
		ScopedRouteConfigurationsList: &hcmv3.ScopedRouteConfigurationsList{ScopedRouteConfigurations: scopes},
	}
}

// plain is what any design on top of Envoy is measured against: one route, the router.
func plain() *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: "plain",
		HttpFilters: []*hcmv3.HttpFilter{{
			Name: "envoy.filters.http.router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(&routerv3.Router{})},
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

func pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	must(err)
	return packed
}

// must ends the program: our own configuration cannot be taken apart.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
