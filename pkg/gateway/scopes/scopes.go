package scopes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

// hubScope is the resource name of the scope whose key is empty (/hub/ itself). No
// user name starts with a dot, so no user shares it.
const hubScope = "."

// hubTimeout bounds a request for a page of ours. /hub/api has none: it streams progress for
// as long as its client listens.
const hubTimeout = 60 * time.Second

// Settings are common to all routes.
type Settings struct {
	// Site says which hosts are answered, and with what.
	Site origin.Site
	// ServerKey derives each spawned server's secret (contract.ServerSecret).
	ServerKey []byte
	// PassChecked says that Envoy judges passes: each route says whose it takes.
	PassChecked bool
}

// Scope is one resource: everything Envoy knows about one second path segment,
// which is an owner, a page of ours, or both.
type Scope struct {
	Name string
	// Route is nil when the segment leads nowhere: the resource is to be withdrawn.
	Route *routev3.ScopedRouteConfiguration
}

// Skipped is a server that gets no route, and why.
type Skipped struct {
	Server server.Server
	Reason string
}

// Hub returns the scopes of the platform's own pages, sorted by name.
func Hub(s Settings) []Scope {
	var out []Scope
	for _, page := range contract.HubPages() {
		out = append(out, scope(s, page.Segment, "", nil))
	}
	slices.SortFunc(out, func(a, b Scope) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ForUser returns the scopes of one user whose pods claim servers, one for each
// spelling of the name; the servers that were elected, and those that were left
// out. Of several pods that claim one ID the oldest wins, then the first by
// namespace and name. The order of servers does not matter; each must be user's.
func ForUser(s Settings, user string, servers []server.Server) (scopes []Scope, served []server.Server, skipped []Skipped) {
	served, skipped = elect(servers)
	for _, key := range server.Spellings(user) {
		var routes []*routev3.Route
		for _, one := range served {
			routes = append(routes, serverRoutes(s, one, key)...)
		}
		if len(routes) > 0 && s.Site.PerUser() {
			// First: a server may be named like the last segment.
			routes = append([]*routev3.Route{handOverRoute(contract.PathUser + key)}, routes...)
		}
		scopes = append(scopes, scope(s, key, user, routes))
	}
	return scopes, served, skipped
}

func elect(servers []server.Server) (winners []server.Server, skipped []Skipped) {
	sorted := slices.Clone(servers)
	slices.SortFunc(sorted, compare)
	for _, s := range sorted {
		if err := s.Valid(); err != nil {
			skipped = append(skipped, Skipped{s, err.Error()})
			continue
		}
		if n := len(winners); n > 0 && winners[n-1].ID == s.ID {
			skipped = append(skipped, Skipped{s, fmt.Sprintf("%s is already served by the older pod %s/%s",
				s.Prefix(), winners[n-1].Namespace, winners[n-1].Pod)})
			continue
		}
		winners = append(winners, s)
	}
	return winners, skipped
}

func compare(a, b server.Server) int {
	if c := a.ID.Compare(b.ID); c != 0 {
		return c
	}
	if c := a.Created.Compare(b.Created); c != 0 {
		return c
	}
	return strings.Compare(a.Namespace+"/"+a.Pod, b.Namespace+"/"+b.Pod)
}

// scope joins a page of ours and owner's servers that share a path segment: a user
// may be called "login", and both work.
func scope(s Settings, key, owner string, servers []*routev3.Route) Scope {
	name := key
	if name == "" {
		name = hubScope
	}
	var list []*routev3.Route
	for _, page := range contract.HubPages() {
		if page.Segment != key {
			continue
		}
		if contract.PathHub+key == contract.PathAPI {
			list = append(list, ownAPIRoute())
		}
		list = append(list, hubRoute(page))
	}
	// A named server's prefix is longer than its owner's: longest first.
	slices.SortStableFunc(servers, func(a, b *routev3.Route) int {
		return len(matchText(b)) - len(matchText(a))
	})
	hosts := virtualHosts(s, name, owner, list, servers)
	if len(hosts) == 0 {
		return Scope{Name: name}
	}
	return Scope{Name: name, Route: &routev3.ScopedRouteConfiguration{
		Name: name,
		Key: &routev3.ScopedRouteConfiguration_Key{Fragments: []*routev3.ScopedRouteConfiguration_Key_Fragment{{
			Type: &routev3.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: key},
		}}},
		RouteConfiguration: &routev3.RouteConfiguration{
			Name:         name,
			VirtualHosts: hosts,
		},
	}}
}

// virtualHosts puts pages and servers on their hosts. With a host for each user, owner's
// servers are on the owner's host only and our pages on the hub's only: the browser then
// keeps a server's page from the others (S8).
func virtualHosts(s Settings, name, owner string, pages, servers []*routev3.Route) []*routev3.VirtualHost {
	if !s.Site.PerUser() {
		pages, servers = append(pages, servers...), nil
	}
	var all []*routev3.VirtualHost
	if len(pages) > 0 {
		domains := s.Site.Hosts
		if contract.PathHub+name+"/" == contract.PathStatic {
			// Pages of refusal appear on users' hosts too, and a page may load its own host's files only.
			domains = append(slices.Clone(domains), s.Site.AnyUser()...)
		}
		all = append(all, &routev3.VirtualHost{Name: name, Domains: domains, Routes: pages})
	}
	if len(servers) > 0 {
		all = append(all, &routev3.VirtualHost{Name: name + " servers", Domains: s.Site.For(owner).Hosts, Routes: servers})
	}
	return all
}

func matchText(r *routev3.Route) string {
	return r.GetMatch().GetPathSeparatedPrefix() + r.GetMatch().GetPath()
}

func hubRoute(page contract.HubPage) *routev3.Route {
	timeout := hubTimeout
	if contract.PathHub+page.Segment == contract.PathAPI {
		timeout = 0
	}
	match := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{
		PathSeparatedPrefix: contract.PathHub + page.Segment,
	}}
	if page.Segment == "" {
		match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: contract.PathHub}}
	}
	check := checkSettings(map[string]string{contract.ExtKind: contract.KindHub})
	if page.Open {
		check = &authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}
	}
	return &routev3.Route{
		Match: match,
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(page.Upstream)},
			Timeout:          durationpb.New(timeout),
		}},
		RequestHeadersToAdd:  clientAddress(page.Upstream),
		TypedPerFilterConfig: ours(check),
	}
}

// ownAPIRoute leads to the part of the REST API that authz answers.
func ownAPIRoute() *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: contract.PatternOwnAPI()},
		}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamLogin)},
			Timeout:          durationpb.New(hubTimeout),
		}},
		RequestHeadersToAdd:  clientAddress(contract.UpstreamLogin),
		TypedPerFilterConfig: ours(checkSettings(map[string]string{contract.ExtKind: contract.KindHub})),
	}
}

// handOverRoute takes /user/<name>/oauth_callback to authz, which judges the code in it.
func handOverRoute(base string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: base + "/" + contract.SegmentHandOver}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamLogin)},
			Timeout:          durationpb.New(hubTimeout),
		}},
		RequestHeadersToAdd: clientAddress(contract.UpstreamLogin),
		TypedPerFilterConfig: map[string]*anypb.Any{
			envoyapi.ExtAuthzFilter: envoyapi.Pack(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}),
			envoyapi.CookiesFilter:  envoyapi.Pack(&routev3.FilterConfig{Disabled: true}), // the nonce is in one
		},
	}
}

// clientAddress tells the login service the address of the client, by which it counts
// guesses: x-forwarded-for alone does not say which entry Envoy trusts (L12).
func clientAddress(to contract.Upstream) []*corev3.HeaderValueOption {
	if to != contract.UpstreamLogin {
		return nil
	}
	return []*corev3.HeaderValueOption{envoyapi.Overwrite(contract.HeaderClientAddress, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")}
}

func separated(prefix string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}
}
