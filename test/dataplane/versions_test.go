package dataplane

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	weborigin "github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/pki"
)

// mixed is an Envoy with one route, to alice's pod, whose configuration a test changes as no
// xds-server would. There is no authz: a request that it is asked about ends with 503.
type mixed struct {
	env
	up     *upstream
	passes *pass.Ring
}

func newMixed(t *testing.T, filter func(*hcmv3.HttpFilter), route func(*routev3.Route)) *mixed {
	t.Helper()
	ca := pki.New(t)
	m := &mixed{env: env{t: t, dir: shortDir(t), ca: ca, gate: ca.Issue(contract.NameGateway, time.Hour)}, up: newUpstream(t, "10.99.0.1", "alice"), passes: keys.Passes(t)}
	site := weborigin.Site{Scheme: "http", Hosts: []string{publicHost}}
	edge := listener.Settings{
		Address: "127.0.0.1", Port: 8000, Site: site, PassChecked: true,
		Authz: "unix:" + m.path("authz"), Login: "unix:" + m.path("login"), Hub: "unix:" + m.path("hub"), ServersCA: string(ca.Pair().Chain),
	}
	public := listener.Listener(edge)
	m.change(public, filter)
	routes, _, _ := scopes.ForUser(scopes.Settings{Site: site, ServerKey: make([]byte, 32), PassChecked: true}, "alice",
		[]server.Server{{ID: server.ID{User: "alice"}, Addr: netip.MustParseAddrPort(m.up.addr)}})
	route(routes[0].Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes()[0])

	store := ads.NewStore(func(n ads.Nack) { t.Errorf("Envoy refuses %+v", n) }, resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.ScopedRouteType)
	var clusters []ads.Resource
	for _, c := range listener.Clusters(edge) {
		clusters = append(clusters, ads.Resource{Name: c.GetName(), Message: c})
	}
	for kind, list := range map[string][]ads.Resource{
		resourcev3.ClusterType: clusters, resourcev3.ListenerType: {{Name: public.GetName(), Message: public}},
		resourcev3.ScopedRouteType: {{Name: "alice", Message: routes[0].Route}},
	} {
		if err := store.Update(kind, list); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", m.path("xds.sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, ads.NewServer(store))
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	m.envoy = envoyproc.Start(t, envoyproc.Options{Node: "mixed", XDSSock: m.path("xds.sock"), TLS: m.gate})
	m.envoy.Ready(t)
	return m
}

// change applies filter to each filter of public, and gives Envoy the keys of passes at once.
func (m *mixed) change(public *listenerv3.Listener, filter func(*hcmv3.HttpFilter)) {
	m.t.Helper()
	jwks, err := m.passes.JWKS()
	if err != nil {
		m.t.Fatal(err)
	}
	manager := &hcmv3.HttpConnectionManager{}
	network := public.GetFilterChains()[0].GetFilters()[0]
	m.unpack(network.GetTypedConfig().UnmarshalTo(manager))
	for _, f := range manager.GetHttpFilters() {
		if f.GetName() == envoyapi.JWTFilter {
			config := &jwtv3.JwtAuthentication{}
			m.unpack(f.GetTypedConfig().UnmarshalTo(config))
			config.GetProviders()["pass"].JwksSourceSpecifier = &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineBytes{InlineBytes: jwks},
			}}
			packed(f, config)
		}
		filter(f)
	}
	manager.UpgradeConfigs = nil
	network.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: envoyapi.Pack(manager)}
}

func (m *mixed) unpack(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func packed(f *hcmv3.HttpFilter, config proto.Message) {
	f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: envoyapi.Pack(config)}
}

// read asks for alice's server with a pass for owner's.
func (m *mixed) read(owner string) reply {
	m.t.Helper()
	s := session.New(access.User{Name: owner}, "ldap", time.Now(), time.Hour)
	token, err := m.passes.Sign(pass.New(s, owner, time.Now(), time.Minute))
	m.unpack(err)
	return m.raw("GET", "/user/alice/api", "Cookie: "+contract.CookiePass+"="+token)
}

func nothing(*hcmv3.HttpFilter) {}

func asMade(*routev3.Route) {}

// S3, P1: Envoy compares the owner of a pass with the route's in a script. A script that fails
// half-way, and routes of a version before the script did so, let nobody in.
func TestP1_MixedConfigurationsLetNobodyIn(t *testing.T) {
	script := func(from, to string) func(*hcmv3.HttpFilter) {
		return func(f *hcmv3.HttpFilter) {
			if f.GetName() != envoyapi.ConfineFilter {
				return
			}
			config := &luav3.Lua{}
			if err := f.GetTypedConfig().UnmarshalTo(config); err != nil {
				t.Fatal(err)
			}
			text := config.GetDefaultSourceCode().GetInlineString()
			if !strings.Contains(text, from) {
				t.Fatalf("the script has no %q", from)
			}
			config.DefaultSourceCode = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: strings.Replace(text, from, to, 1)}}
			packed(f, config)
		}
	}
	for name, c := range map[string]struct {
		filter          func(*hcmv3.HttpFilter)
		route           func(*routev3.Route)
		alice, bob, got int // statuses for their passes, and how many requests the pod got
	}{
		"negative control":                       {nothing, asMade, 200, 403, 1},
		"negative control: nothing is compared":  {script("pass ~= owner and", "false and"), asMade, 200, 200, 2},
		"a script that fails before it compares": {script("local pass = ", `error("broken") local pass = `), asMade, 503, 503, 0},
		"a script that fails after it compared":  {script("local cookie = ", `error("broken") local cookie = `), asMade, 503, 403, 0},
		"routes of the version before": {nothing, func(r *routev3.Route) {
			r.Name = "/user/alice/"
			r.RequestHeadersToAdd = []*corev3.HeaderValueOption{envoyapi.Overwrite(contract.HeaderDestination, "10.99.0.1:8888")}
		}, 403, 403, 0},
		"the listener of the version before": {script("  headers:replace(DESTINATION, address)\n", ""), asMade, 503, 403, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMixed(t, c.filter, c.route)
			if r := m.read("alice"); r.code != c.alice {
				t.Errorf("alice's own pass: %d, want %d: %s", r.code, c.alice, r.body)
			}
			if r := m.read("bob"); r.code != c.bob {
				t.Errorf("bob's pass at alice's server: %d, want %d: %s", r.code, c.bob, r.body)
			}
			if r := m.raw("GET", "/user/alice/api", contract.HeaderUser+": alice", contract.HeaderDestination+": 10.99.0.1:8888"); r.code != 503 {
				t.Errorf("without a pass: %d, want 503, since authz is gone", r.code)
			}
			if got := len(m.up.requests()); got != c.got {
				t.Errorf("the pod got %d requests, want %d", got, c.got)
			}
		})
	}
}
