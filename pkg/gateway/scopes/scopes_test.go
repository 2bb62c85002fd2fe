package scopes_test

import (
	"bytes"
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/golden"
)

func settings() scopes.Settings {
	return scopes.Settings{
		Site:        origin.Site{Scheme: "https", Hosts: []string{"hub.example", "hub.example:443"}},
		ServerKey:   []byte(strings.Repeat("k", 32)),
		PassChecked: true,
	}
}

// TestScopes reads servers and writes the scopes of their user. The folder is the
// documentation of what one user costs Envoy.
func TestScopes(t *testing.T) {
	golden.Each(t, "testdata/*.txtar", func(t *testing.T, in map[string][]byte) []txtar.File {
		var list []server.Server
		if err := yaml.UnmarshalStrict(in["servers.yaml"], &list); err != nil {
			t.Fatal(err)
		}
		user := list[0].User
		got, served, skipped := scopes.ForUser(settings(), user, list)

		// The same in any order of the pods.
		shuffled := append([]server.Server(nil), list...)
		rand.New(rand.NewSource(1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, _, _ := scopes.ForUser(settings(), user, shuffled)

		var out bytes.Buffer
		for i, s := range got {
			if err := s.Route.ValidateAll(); err != nil {
				t.Errorf("Envoy's own validation refuses %s: %v", s.Name, err)
			}
			if !bytes.Equal(marshal(t, s.Route), marshal(t, again[i].Route)) {
				t.Errorf("scope %s depends on the order of pods", s.Name)
			}
			fmt.Fprintf(&out, "--- scope %s\n%s", s.Name, golden.YAML(t, s.Route))
		}
		for _, s := range served {
			fmt.Fprintf(&out, "--- served %s by %s/%s\n", s.ID, s.Namespace, s.Pod)
		}
		for _, s := range skipped {
			fmt.Fprintf(&out, "--- skipped %s/%s: %s\n", s.Server.Namespace, s.Server.Pod, s.Reason)
		}
		return golden.Want(out.Bytes())
	})
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUserWithoutServersIsWithdrawn(t *testing.T) {
	got, _, _ := scopes.ForUser(settings(), "alice", nil)
	if len(got) != 1 || got[0].Name != "alice" || got[0].Route != nil {
		t.Errorf("scopes = %+v, want alice without a route", got)
	}
}

// A user may be called like one of our pages; leaving must not take the page away.
func TestUserCalledLoginSharesTheScopeWithThePage(t *testing.T) {
	got, _, _ := scopes.ForUser(settings(), "login", nil)
	if got[0].Route == nil {
		t.Fatal("/hub/login vanished with the user login")
	}
	one := server.Server{ID: server.ID{User: "login"}, Addr: netip.MustParseAddrPort("10.0.0.1:8888")}
	got, _, _ = scopes.ForUser(settings(), "login", []server.Server{one})
	if n := len(got[0].Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes()); n != 2 {
		t.Errorf("%d routes, want the page's and the server's", n)
	}
}

// The files that servers share are on every host, also on that of a user who is called like them.
func TestAssetsAreOnEveryHost(t *testing.T) {
	s := settings()
	if got := scopes.Hub(s); slices.ContainsFunc(got, func(s scopes.Scope) bool { return s.Name == contract.SegmentAssets }) {
		t.Error("without the service there is a route to it")
	}
	s.Assets, s.Site.UserDomain = true, "users.example"
	one := server.Server{ID: server.ID{User: contract.SegmentAssets}, Addr: netip.MustParseAddrPort("10.0.0.1:8888")}
	with, _, _ := scopes.ForUser(s, contract.SegmentAssets, []server.Server{one})
	without, _, _ := scopes.ForUser(s, contract.SegmentAssets, nil)
	for _, c := range []struct {
		scope scopes.Scope
		hosts []string
	}{
		{scopes.Hub(s)[slices.IndexFunc(scopes.Hub(s), func(s scopes.Scope) bool { return s.Name == contract.SegmentAssets })], []string{"hub.example", "*.users.example"}},
		{with[0], []string{"hub.example", "*.users.example", "lab.users.example"}},
		{without[0], []string{"hub.example", "*.users.example"}},
	} {
		var hosts []string
		for _, host := range c.scope.Route.GetRouteConfiguration().GetVirtualHosts() {
			i := slices.IndexFunc(host.GetRoutes(), func(r *routev3.Route) bool { return r.GetMatch().GetPrefix() == contract.PathAssets })
			if i < 0 {
				t.Errorf("%v: no route to them", host.GetDomains())
				continue
			}
			for _, filter := range []string{envoyapi.ExtAuthzFilter, envoyapi.ConfineFilter, envoyapi.CompressFilter} {
				if host.GetRoutes()[i].GetTypedPerFilterConfig()[filter] == nil {
					t.Errorf("the route says nothing to %s", filter)
				}
			}
			hosts = append(hosts, host.GetDomains()...)
		}
		hosts = slices.DeleteFunc(hosts, func(host string) bool { return strings.HasSuffix(host, ":443") })
		if !slices.Equal(hosts, c.hosts) {
			t.Errorf("hosts %v, want %v", hosts, c.hosts)
		}
		if err := c.scope.Route.ValidateAll(); err != nil {
			t.Error(err)
		}
	}
}

func TestEveryHubPageHasAScope(t *testing.T) {
	got := scopes.Hub(settings())
	if len(got) != len(contract.HubPages()) {
		t.Fatalf("%d scopes for %d pages", len(got), len(contract.HubPages()))
	}
	for _, s := range got {
		if err := s.Route.ValidateAll(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		for _, route := range s.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
			if !skipsAuthz(t, route) && route.GetName() != contract.KindHub {
				t.Errorf("page %q is called %q: authz would refuse every request", s.Name, route.GetName())
			}
		}
	}
}

// skipsAuthz reports whether no request on the route is judged.
func skipsAuthz(t *testing.T, route *routev3.Route) bool {
	t.Helper()
	packed := route.GetTypedPerFilterConfig()[envoyapi.ExtAuthzFilter]
	if packed == nil {
		return false
	}
	var config routev3.FilterConfig
	if err := packed.UnmarshalTo(&config); err != nil {
		t.Fatal(err)
	}
	return config.GetDisabled()
}

// No route leads to a server by itself: the edge's last filter reads the address in the route's
// name, once it has judged the request. And no route to a server does without a filter.
func TestRoutesToServersLeadNowhereAlone(t *testing.T) {
	t.Parallel()
	site := settings()
	for _, domain := range []string{"", "users.example"} {
		site.Site.UserDomain = domain
		var list []server.Server
		for _, name := range []string{"", "x y", "logout"} {
			list = append(list, server.Server{ID: server.ID{User: "o'neil", Name: name}, Nonce: "n", Addr: netip.MustParseAddrPort("10.0.0.1:8888")})
		}
		scopes, served, _ := scopes.ForUser(site, "o'neil", list)
		if len(served) != len(list) {
			t.Fatalf("served are %v", served)
		}
		for _, s := range scopes {
			for _, host := range s.Route.GetRouteConfiguration().GetVirtualHosts() {
				for _, route := range host.GetRoutes() {
					if route.GetRoute().GetCluster() == string(contract.UpstreamLogin) {
						continue // oauth_callback
					}
					if got, err := contract.ParseRoute(route.GetName()); err != nil || got.Owner != "o'neil" || got.Address != list[0].Addr {
						t.Errorf("%q is read as %+v, %v", route.GetName(), got, err)
					}
					for _, header := range route.GetRequestHeadersToAdd() {
						if header.GetHeader().GetKey() == contract.HeaderDestination {
							t.Errorf("%q leads to %s by itself", route.GetName(), header.GetHeader().GetValue())
						}
					}
					for filter := range route.GetTypedPerFilterConfig() {
						if filter != envoyapi.JWTFilter { // without it every request is asked about
							t.Errorf("%q changes the filter %s", route.GetName(), filter)
						}
					}
				}
			}
		}
	}
}

// An event stream of the REST API has no end; every other page has one. Only the login
// service is told the client's address: it counts guesses by it (L12).
func TestL12_WhatEachPageIsTold(t *testing.T) {
	upstreams := map[string]contract.Upstream{}
	for _, page := range contract.HubPages() {
		upstreams[page.Segment] = page.Upstream
	}
	for _, s := range scopes.Hub(settings()) {
		routes := s.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes()
		page := routes[len(routes)-1]
		segment := strings.TrimPrefix(page.GetMatch().GetPathSeparatedPrefix(), contract.PathHub)
		stream := contract.PathHub+segment == contract.PathAPI
		if timeout := page.GetRoute().GetTimeout().AsDuration(); (timeout == 0) != stream {
			t.Errorf("page %q ends after %v", segment, timeout)
		}
		told := len(page.GetRequestHeadersToAdd()) == 1 && page.GetRequestHeadersToAdd()[0].GetHeader().GetKey() == contract.HeaderClientAddress
		if told != (upstreams[segment] == contract.UpstreamLogin) {
			t.Errorf("page %q of %s is told the client's address: %v", segment, upstreams[segment], told)
		}
	}
}

// Of two pods that claim one server the older one has it, whatever they are called; of two
// of the same age the one whose name comes first.
func TestTheOlderPodWins(t *testing.T) {
	claim := func(name string, created int64) server.Server {
		return server.Server{
			ID: server.ID{User: "alice"}, Namespace: "ns", Pod: name, UID: name, Created: time.Unix(created, 0), Addr: netip.MustParseAddrPort("10.0.0.1:8888"),
		}
	}
	for _, c := range []struct {
		claims []server.Server
		want   string
	}{
		{[]server.Server{claim("a", 2), claim("b", 1)}, "b"},
		{[]server.Server{claim("a", 1), claim("b", 2)}, "a"},
		{[]server.Server{claim("b", 1), claim("a", 1)}, "a"},
	} {
		_, served, skipped := scopes.ForUser(settings(), "alice", c.claims)
		if len(served) != 1 || served[0].Pod != c.want || len(skipped) != 1 {
			t.Errorf("%v: served %v, skipped %v", c.claims, served, skipped)
		}
	}
}

// P9: no virtual host answers for every Host.
func TestP9_NoWildcardHost(t *testing.T) {
	for _, s := range scopes.Hub(settings()) {
		for _, d := range s.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetDomains() {
			if strings.Contains(d, "*") {
				t.Errorf("scope %s answers %q", s.Name, d)
			}
		}
	}
}

func FuzzAnyServerPassesEnvoysValidation(f *testing.F) {
	f.Add("alice", "", "n0nce", false)
	f.Add("a@b", "x y", "", true)
	f.Add("login", "logout", "n", false)
	f.Fuzz(func(t *testing.T, user, name, nonce string, strip bool) {
		one := server.Server{
			ID: server.ID{User: user, Name: name}, Namespace: "ns", Pod: "p", UID: "u", Nonce: nonce,
			Addr: netip.MustParseAddrPort("10.0.0.1:8888"), StripPrefix: strip, Created: time.Unix(1, 0),
		}
		got, served, skipped := scopes.ForUser(settings(), user, []server.Server{one})
		if one.Valid() != nil {
			if len(skipped) != 1 || len(served) != 0 {
				t.Errorf("an invalid name was served")
			}
			return
		}
		for _, s := range got {
			if err := s.Route.ValidateAll(); err != nil {
				t.Errorf("%q: %v", s.Name, err)
			}
		}
	})
}

// With a host for each user, a user's servers are on that host only and our pages on the hub's.
func TestHostsOfPeople(t *testing.T) {
	s := settings()
	s.Site.UserDomain = "users.example"
	one := server.Server{ID: server.ID{User: "login"}, Addr: netip.MustParseAddrPort("10.0.0.1:8888")}
	got, _, _ := scopes.ForUser(s, "login", []server.Server{one})
	hosts := map[string][]string{}
	for _, host := range got[0].Route.GetRouteConfiguration().GetVirtualHosts() {
		for _, r := range host.GetRoutes() {
			hosts[strings.Join(host.GetDomains(), " ")] = append(hosts[strings.Join(host.GetDomains(), " ")], r.GetMatch().GetPath()+r.GetMatch().GetPathSeparatedPrefix())
		}
	}
	want := map[string][]string{
		"hub.example hub.example:443":                 {"/hub/login"},
		"login.users.example login.users.example:443": {"/user/login/oauth_callback", "/user/login"},
	}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Error(diff)
	}
	if err := got[0].Route.ValidateAll(); err != nil {
		t.Error(err)
	}
	// Only the styles of our pages are on every host, and no wildcard goes beyond the domain (P9).
	for _, scope := range scopes.Hub(s) {
		for _, d := range scope.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetDomains() {
			if strings.Contains(d, "*") && (scope.Name != "static" || !strings.HasPrefix(d, "*.users.example")) {
				t.Errorf("scope %s answers %q", scope.Name, d)
			}
		}
	}
	if got, _, _ := scopes.ForUser(s, "alice", nil); got[0].Route != nil {
		t.Error("a user without servers has a route")
	}
}

// TestWhatIsTriedAgain: a request that may start or stop a server is sent to a second spawner only
// when the first cannot have seen it.
func TestWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	const unsent = "connect-failure,refused-stream,reset-before-request"
	for _, s := range scopes.Hub(settings()) {
		reads := 0
		for _, route := range s.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
			want := unsent
			if route.GetMatch().GetPath() == "/hub/api" || route.GetMatch().GetPath() == "/hub/api/" { // open to all
				want += ",reset"
				if got := route.GetRoute().GetRetryPolicy().GetRetryOn(); got != want {
					t.Errorf("%s: %q is tried again, want %q", s.Name, got, want)
				}
				continue
			}
			if len(route.GetMatch().GetHeaders()) > 0 {
				reads++
				want += ",reset"
			}
			to := route.GetRoute().GetCluster()
			if to != string(contract.UpstreamHub) {
				want = ""
			}
			if got := route.GetRoute().GetRetryPolicy().GetRetryOn(); got != want {
				t.Errorf("%s to %s: %q is tried again, want %q", s.Name, to, got, want)
			}
			if to == string(contract.UpstreamHub) && reads != 1 {
				t.Errorf("%s: %d routes for reading come first", s.Name, reads)
			}
		}
	}
}

// TestOnlyWhatIsOpenSkipsAuthz: of the REST API that is reading the version, at its exact paths, and
// the spawner is not shown who asks.
func TestOnlyWhatIsOpenSkipsAuthz(t *testing.T) {
	t.Parallel()
	var open []string
	for _, s := range scopes.Hub(settings()) {
		if s.Name != "api" {
			continue
		}
		for _, route := range s.Route.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
			if !skipsAuthz(t, route) {
				continue
			}
			open = append(open, route.GetMatch().GetPath())
			if len(route.GetMatch().GetHeaders()) != 1 || strings.Join(route.GetRequestHeadersToRemove(), " ") != "cookie authorization" {
				t.Errorf("%v", route)
			}
		}
	}
	if strings.Join(open, " ") != "/hub/api /hub/api/" {
		t.Errorf("open are %q", open)
	}
}
