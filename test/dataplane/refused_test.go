package dataplane

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/publish"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/server"
	sites "github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/wait"
)

// refusals are the scopes that Envoy refused: names, and the last reason.
type refusals struct {
	mu     sync.Mutex
	names  []string
	reason string
}

func (r *refusals) add(n ads.Nack) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n.TypeURL == resourcev3.ScopedRouteType {
		r.names, r.reason = append(r.names, n.Name), n.Reason
	}
}

func (r *refusals) why() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

func (r *refusals) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.names, " ")
}

// R14, X7: one scope that Envoy refuses takes no other with it. Envoy lists the good scopes of
// a refused response in its config dump and does not route by them, so requests tell.
func TestX7_RefusedScopeTakesNoOther(t *testing.T) {
	p := newRefusing(t)
	p.change(p.bad)
	p.serveADS(p.store)
	p.start()
	wait.Until(t, "the scope is refused", func() bool { return p.refused.all() != "" })
	p.works("with a refused scope")
	if got := p.refused.all(); got != "login" || p.raw("GET", "/hub/login").code != 404 { // negative control
		t.Errorf("refused: %q; the login page answers %d", got, p.raw("GET", "/hub/login").code)
	}
	p.change(p.good)
	wait.Until(t, "the mended scope has a route", func() bool { return p.raw("GET", "/hub/login").code == 200 })
	p.works("after it was mended")
	// A change of many at once on an Envoy that has routes.
	p.publish(spawned("n2"))
	p.change(p.bad)
	p.works("after a second refusal")
}

// refusing is an xds-server whose scope of the login page Envoy may refuse, beside 20 users.
type refusing struct {
	*env
	store     *ads.Store
	pub       *publish.Publisher
	refused   refusals
	good, bad proto.Message // the login page's scope
	upstream  string
}

func newRefusing(t *testing.T) *refusing {
	p := &refusing{env: newEnv(t)}
	p.stopXDS()
	p.envoy.Kill()
	site := sites.Site{Scheme: "http", Hosts: []string{publicHost}}
	settings := scopes.Settings{Site: site, ServerKey: []byte(strings.Repeat("k", 32)), PassChecked: true}
	p.good, p.bad = loginScope(settings)
	p.store = ads.NewStore(p.refused.add, resourcev3.ListenerType, resourcev3.ClusterType, resourcev3.ScopedRouteType, resourcev3.SecretType)
	p.publishEdge(p.store, listener.Settings{Address: "127.0.0.1", Port: 8000, Site: site, PassChecked: true,
		Authz: "unix:" + p.path("authz.sock"), Login: "unix:" + p.path("login.sock"), Hub: "127.0.0.1:8081"})
	p.pub = publish.New(p.store, func(_, pod, _, reason string) { t.Errorf("%s: %s", pod, reason) }, settings, shard.Shard{})
	if err := p.pub.Start(); err != nil {
		t.Fatal(err)
	}
	p.upstream = newUpstream(t, "10.99.0.1", "alice").addr
	p.publish()
	return p
}

// publish hands over the users' pods.
func (p *refusing) publish(change ...func(*corev1.Pod)) {
	for i := range 20 {
		p.pub.Set(p.newPod(fmt.Sprintf("pod-%d", i), server.ID{User: fmt.Sprintf("user-%d", i)}, p.upstream, change...))
	}
}

// change publishes the login page's scope.
func (p *refusing) change(login proto.Message) {
	p.t.Helper()
	if err := p.store.Update(resourcev3.ScopedRouteType, []ads.Resource{{Name: "login", Message: login}}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *refusing) start() {
	p.envoy = envoyproc.Start(p.t, envoyproc.Options{Node: "envoy-2", XDSSock: p.path("xds.sock"), TLS: p.gate})
	p.envoy.Ready(p.t)
}

// works waits until all good scopes have routes.
func (p *refusing) works(when string) {
	p.t.Helper()
	for _, path := range []string{"/hub/", "/hub/home", "/hub/spawn", "/hub/static/app.css", "/user/user-0/api", "/user/user-7/api", "/user/user-19/api"} {
		wait.Until(p.t, when+" "+path+" has a route", func() bool {
			code := p.raw("GET", path).code
			return code != 404 && code != 424
		})
	}
}

// TestS14_ARefusalTellsNoSecret: Envoy repeats a scope that has not the right form, with all that
// it holds. The reason that goes to logs and to the spawner does not.
func TestS14_ARefusalTellsNoSecret(t *testing.T) {
	const secret = "the-secret-of-a-server"
	p := newRefusing(t)
	p.serveADS(p.store)
	p.start()
	nameless := proto.CloneOf(p.good)
	route := nameless.(*routev3.ScopedRouteConfiguration).GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes()[0]
	route.Match.Headers = append(route.Match.Headers, &routev3.HeaderMatcher{})
	route.RequestHeadersToAdd = append(route.RequestHeadersToAdd,
		&corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: "x-secret", Value: secret}})
	p.change(nameless)
	wait.Until(t, "the scope is refused", func() bool { return p.refused.all() != "" })
	if got := p.refused.why(); strings.Contains(got, secret) || strings.Contains(got, "hub.test") || !strings.Contains(got, "HeaderMatcherValidationError.Name: value length must be at least 1") {
		t.Errorf("the reason is %q", got)
	}
	refusal, ok := p.store.Refused(resourcev3.ScopedRouteType, "login")
	if _, other := p.store.Refused(resourcev3.ScopedRouteType, "user-0"); !ok || other || refusal.Version != p.store.Versions(resourcev3.ScopedRouteType)["login"] {
		t.Errorf("the login page: %v %v; another scope: %v", refusal, ok, other)
	}
}

// TestX7_StreamBreaksAtARefusal: Envoy has applied half of a refused response when its stream
// breaks and the bad scope is mended. The next stream knows of no refusal, and no user's route
// stays away.
func TestX7_StreamBreaksAtARefusal(t *testing.T) {
	p := newRefusing(t)
	p.change(p.bad)
	var broken sync.Once
	p.serveADS(p.store, grpc.StreamInterceptor(func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(srv, &breaking{ss, func() (err error) {
			broken.Do(func() {
				p.change(p.good)
				err = status.Error(codes.Unavailable, "broken by the test")
			})
			return err
		}})
	}))
	p.start()
	wait.Until(t, "the login page has a route", func() bool { return p.raw("GET", "/hub/login").code == 200 })
	p.works("after the stream broke")
	if broken.Do(func() { t.Error("Envoy refused nothing: the test shows nothing") }); p.refused.all() != "" {
		t.Errorf("the store heard that %s was refused", p.refused.all())
	}
}

// breaking is a stream that asks at each refusal of scopes whether it breaks. The store does
// not hear of a refusal that breaks it.
type breaking struct {
	grpc.ServerStream
	refused func() error
}

func (b *breaking) RecvMsg(m any) error {
	if err := b.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	if req, ok := m.(*discoveryv3.DeltaDiscoveryRequest); ok && req.GetErrorDetail() != nil && req.GetTypeUrl() == resourcev3.ScopedRouteType {
		return b.refused()
	}
	return nil
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
func (s *env) serveADS(store *ads.Store, options ...grpc.ServerOption) {
	s.t.Helper()
	l, err := run.Listen("unix:" + s.path("xds.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	srv := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(ads.MaxRequestBytes))...)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(srv, ads.NewServer(store))
	go func() { _ = srv.Serve(l) }()
	s.t.Cleanup(srv.Stop)
}
