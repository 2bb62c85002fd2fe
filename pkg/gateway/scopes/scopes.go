package scopes

import (
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

// hubScope is the resource name of the scope whose key is empty (/hub/ itself). No
// user name starts with a dot, so no user shares it.
const hubScope = "."

// Settings are common to all routes.
type Settings struct {
	// Site says which hosts are answered, and with what.
	Site origin.Site
	// ServerKey derives each spawned server's secret (contract.ServerSecret).
	ServerKey []byte
	// PassChecked says that Envoy judges passes: each route says whose it takes.
	PassChecked bool
	// Assets says that there is an assets service.
	Assets bool
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
	slices.SortFunc(sorted, server.ByPrecedence)
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
			list = append(list, openAPIRoutes()...)
			list = append(list, ownAPIRoute())
		}
		list = append(list, hubRoutes(page)...)
	}
	if s.Assets && key == contract.SegmentAssets {
		list = append(list, assetsRoute())
		if s.Site.PerUser() && len(servers) > 0 { // a user called lab needs them on the own host too
			servers = append([]*routev3.Route{assetsRoute()}, servers...)
		}
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
		if contract.PathHub+name+"/" == contract.PathStatic || name == contract.SegmentAssets {
			// Pages of refusal and of JupyterLab are on users' hosts too, and load their own host's files.
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
