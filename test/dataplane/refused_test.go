package dataplane

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/publish"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	sites "github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/wait"
)

// refusals are the names of the scopes that Envoy refused.
type refusals struct {
	mu    sync.Mutex
	names []string
}

func (r *refusals) add(n ads.Nack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.TypeURL == resourcev3.ScopedRouteType {
		r.names = append(r.names, n.Name)
	}
}

func (r *refusals) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.names, " ")
}

// R14, X7: one scope that Envoy refuses takes no other with it. Envoy lists the good scopes of
// a refused response in its config dump and does not route by them, so requests tell.
func TestX7_RefusedScopeTakesNoOther(t *testing.T) {
	s := newEnv(t)
	s.stopXDS()
	s.envoy.Kill()
	site := sites.Site{Scheme: "http", Hosts: []string{publicHost}}
	settings := scopes.Settings{Site: site, ServerKey: []byte(strings.Repeat("k", 32)), PassChecked: true}
	var refused refusals
	store := ads.NewStore(refused.add, resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType, resourcev3.SecretType)
	s.publishEdge(store, listener.Settings{Address: "127.0.0.1", Port: 8000, Site: site, PassChecked: true,
		Authz: "unix:" + s.path("authz.sock"), Login: "unix:" + s.path("login.sock"), Hub: "127.0.0.1:8081"})
	pub := publish.New(store, func(_, pod, _, reason string) { t.Errorf("%s: %s", pod, reason) }, settings)
	if err := pub.Start(); err != nil {
		t.Fatal(err)
	}
	up := newUpstream(t, "10.99.0.1", "alice")
	for i := range 20 {
		pub.Set(s.newPod(fmt.Sprintf("pod-%d", i), server.ID{User: fmt.Sprintf("user-%d", i)}, up.addr))
	}
	good, bad := loginScope(settings)
	change := func(login proto.Message) {
		t.Helper()
		if err := store.Update(resourcev3.ScopedRouteType, []ads.Resource{{Name: "login", Message: login}}); err != nil {
			t.Fatal(err)
		}
	}
	change(bad)
	s.serveADS(store)
	s.envoy = envoyproc.Start(t, envoyproc.Options{Node: "envoy-2", XDSSock: s.path("xds.sock"), TLS: s.gate})
	s.envoy.Ready(t)

	works := func(when string) {
		t.Helper()
		for _, path := range []string{"/hub/", "/hub/home", "/hub/spawn", "/hub/static/app.css", "/user/user-0/api", "/user/user-7/api", "/user/user-19/api"} {
			wait.Until(t, when+" "+path+" has a route", func() bool {
				code := s.raw("GET", path).code
				return code != 404 && code != 424
			})
		}
	}
	wait.Until(t, "the scope is refused", func() bool { return refused.all() != "" })
	works("with a refused scope")
	if got := refused.all(); got != "login" || s.raw("GET", "/hub/login").code != 404 { // negative control
		t.Errorf("refused: %q; the login page answers %d", got, s.raw("GET", "/hub/login").code)
	}
	change(good)
	wait.Until(t, "the mended scope has a route", func() bool { return s.raw("GET", "/hub/login").code == 200 })
	works("after it was mended")
	// A change of many at once on an Envoy that has routes.
	for i := range 20 {
		pub.Set(s.newPod(fmt.Sprintf("pod-%d", i), server.ID{User: fmt.Sprintf("user-%d", i)}, up.addr, spawned("n2")))
	}
	change(bad)
	works("after a second refusal")
}

// loginScope returns the scope of the login page, and one that Envoy refuses.
func loginScope(s scopes.Settings) (good, bad proto.Message) {
	for _, scope := range scopes.Hub(s) {
		if scope.Name != "login" {
			continue
		}
		broken := proto.CloneOf(scope.Route)
		route := broken.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes()[0]
		route.TypedPerFilterConfig["unknown"] = &anypb.Any{TypeUrl: "type.googleapis.com/no.such.Message"}
		return scope.Route, broken
	}
	return nil, nil
}

func (s *env) publishEdge(store *ads.Store, settings listener.Settings) {
	s.t.Helper()
	var clusters []ads.Resource
	for _, c := range listener.Clusters(settings) {
		clusters = append(clusters, ads.Resource{Name: c.GetName(), Message: c})
	}
	for typeURL, list := range map[string][]ads.Resource{
		resourcev3.ClusterType:  clusters,
		resourcev3.ListenerType: {{Name: listener.Listener(settings).GetName(), Message: listener.Listener(settings)}},
	} {
		if err := store.Update(typeURL, list); err != nil {
			s.t.Fatal(err)
		}
	}
}

// serveADS answers Envoys at the sidecar's socket from store.
func (s *env) serveADS(store *ads.Store) {
	s.t.Helper()
	l, err := run.Listen("unix:" + s.path("xds.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.MaxRecvMsgSize(ads.MaxRequestBytes))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, ads.NewServer(store))
	go func() { _ = srv.Serve(l) }()
	s.t.Cleanup(srv.Stop)
}
