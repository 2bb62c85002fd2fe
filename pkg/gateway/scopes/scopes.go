package scopes

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Names of filters in the listener and in per-route configuration. Those that every
// user's route repeats are short.
const (
	ExtAuthzFilter = "authz"
	JWTFilter      = "envoy.filters.http.jwt_authn"
	RBACFilter     = "rule"
	CookiesFilter  = "envoy.filters.http.lua"
)

// hubScope is the resource name of the scope whose key is empty (/hub/ itself). No
// user name starts with a dot, so nobody shares it.
const hubScope = "."

// hubTimeout bounds a page of ours; /hub/api streams progress and is bounded by
// its client.
const hubTimeout = 60 * time.Second

// maxStream bounds a request and an open websocket. Who was shut out loses what is still
// open after that; JupyterLab connects its kernels anew without anybody noticing.
const maxStream = time.Hour

// Settings is what all routes share.
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

// virtualHosts puts pages and servers on their hosts. Where everybody has one, owner's
// servers are on hers only and our pages on the hub's only: what a server's page may do is
// then for the browser to say (S8).
func virtualHosts(s Settings, name, owner string, pages, servers []*routev3.Route) []*routev3.VirtualHost {
	if !s.Site.PerUser() {
		pages, servers = append(pages, servers...), nil
	}
	var all []*routev3.VirtualHost
	if len(pages) > 0 {
		domains := s.Site.Hosts
		if contract.PathHub+name+"/" == contract.PathStatic {
			// Refusals are shown on people's hosts too, and a page may load its own host's files only.
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
			SafeRegex: &matcherv3.RegexMatcher{Regex: contract.PatternOwnAPI},
		}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamLogin)},
			Timeout:          durationpb.New(hubTimeout),
		}},
		RequestHeadersToAdd:  clientAddress(contract.UpstreamLogin),
		TypedPerFilterConfig: ours(checkSettings(map[string]string{contract.ExtKind: contract.KindHub})),
	}
}

// ours is how requests for our own services are treated: they may read and set our
// cookies. Where authz is asked it takes the cookies away.
func ours(check *authzv3.ExtAuthzPerRoute) map[string]*anypb.Any {
	return map[string]*anypb.Any{
		ExtAuthzFilter: pack(check),
		CookiesFilter:  pack(&routev3.FilterConfig{Disabled: true}),
	}
}

// clientAddress tells the login service who is guessing passwords: the address that
// Envoy counts as the client's, which x-forwarded-for alone does not say (L12).
func clientAddress(to contract.Upstream) []*corev3.HeaderValueOption {
	if to != contract.UpstreamLogin {
		return nil
	}
	return []*corev3.HeaderValueOption{overwrite(contract.HeaderClientAddress, "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")}
}

// serverRoutes returns the routes of one server below /user/<key>, key being one
// spelling of the owner's name.
func serverRoutes(s Settings, one server.Server, key string) []*routev3.Route {
	var out []*routev3.Route
	base := contract.PathUser + key
	if one.Name == "" {
		return append(out, serverRoute(s, one, base))
	}
	for _, name := range server.Spellings(one.Name) {
		route := serverRoute(s, one, base+"/"+name)
		if s.PassChecked {
			out = append(out, askRoute(route, base+"/"+name))
		}
		out = append(out, route)
	}
	return out
}

// askRoute has authz asked about exactly prefix whatever the pass says: it redirects
// /user/alice/name to /user/alice/name/, without which relative links of the page would
// miss the server. The default server needs none: passes are not sent to /user/alice.
func askRoute(route *routev3.Route, prefix string) *routev3.Route {
	ask := proto.CloneOf(route)
	ask.Match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: prefix}}
	ask.TypedPerFilterConfig[JWTFilter] = pack(&jwtv3.PerRouteConfig{
		RequirementSpecifier: &jwtv3.PerRouteConfig_Disabled{Disabled: true},
	})
	return ask
}

func serverRoute(s Settings, one server.Server, prefix string) *routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: contract.ClusterPods},
		// Kernels' websockets, long downloads and exports have no natural end.
		Timeout:           durationpb.New(0),
		IdleTimeout:       durationpb.New(0),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(maxStream)},
		UpgradeConfigs:    []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket"}},
	}
	switch canonical := strings.TrimSuffix(one.Prefix(), "/"); {
	case one.StripPrefix:
		action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			Pattern:      &matcherv3.RegexMatcher{Regex: "^" + regexp.QuoteMeta(prefix) + "/?"},
			Substitution: "/",
		}
	case prefix != canonical:
		// The application knows one spelling of its base URL.
		action.PrefixRewrite = canonical
	}
	headers := []*corev3.HeaderValueOption{overwrite(contract.HeaderDestination, one.Addr.String())}
	if one.Nonce != "" {
		secret := contract.ServerSecret(s.ServerKey, one.Namespace, one.Pod, one.Nonce)
		headers = append(headers, overwrite(contract.HeaderServerSecret, secret))
	}
	filters := map[string]*anypb.Any{ExtAuthzFilter: pack(checkSettings(about(one)))}
	if s.PassChecked {
		filters[RBACFilter] = pack(admit(one.User))
	}
	return &routev3.Route{
		Name:                 one.Prefix(), // where its cookies may go (pkg/gateway/listener/cookies.lua)
		Match:                separated(prefix),
		Action:               &routev3.Route_Route{Route: action},
		RequestHeadersToAdd:  headers,
		TypedPerFilterConfig: filters,
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
			ExtAuthzFilter: pack(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}),
			CookiesFilter:  pack(&routev3.FilterConfig{Disabled: true}), // the nonce is in one
		},
	}
}

// about tells authz which server a request is for. Absent keys are empty: every byte here
// is sent to, and kept by, every Envoy for every user.
func about(one server.Server) map[string]string {
	ext := map[string]string{
		contract.ExtKind:   contract.KindServer,
		contract.ExtOwner:  one.User,
		contract.ExtPrefix: one.Prefix(),
	}
	if one.Name != "" {
		ext[contract.ExtServer] = one.Name
	} else if one.Nonce != "" {
		ext[contract.ExtLogout] = "true"
	}
	return ext
}

func separated(prefix string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}
}

// overwrite replaces whatever a client sent: with use_http_header a header that the
// client could choose would let it reach any address.
func overwrite(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func checkSettings(ext map[string]string) *authzv3.ExtAuthzPerRoute {
	return &authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_CheckSettings{
		CheckSettings: &authzv3.CheckSettings{ContextExtensions: ext},
	}}
}

// admit lets in a pass for owner's servers, and whom authz has named. A pass for somebody
// else's server ends here, and so does a request that authz has not judged.
func admit(owner string) *rbacv3.RBACPerRoute {
	header := func(name string, m *routev3.HeaderMatcher) *rbacconfigv3.Principal {
		m.Name = name
		return &rbacconfigv3.Principal{Identifier: &rbacconfigv3.Principal_Header{Header: m}}
	}
	present := func(name string, is bool) *rbacconfigv3.Principal {
		return header(name, &routev3.HeaderMatcher{HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: is}})
	}
	return &rbacv3.RBACPerRoute{Rbac: &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{
		Action: rbacconfigv3.RBAC_ALLOW,
		Policies: map[string]*rbacconfigv3.Policy{"pass": {
			Permissions: []*rbacconfigv3.Permission{{Rule: &rbacconfigv3.Permission_Any{Any: true}}},
			Principals: []*rbacconfigv3.Principal{
				header(contract.HeaderPassOwner, &routev3.HeaderMatcher{HeaderMatchSpecifier: exactly(contract.EncodeHeader(owner))}),
				{Identifier: &rbacconfigv3.Principal_AndIds{AndIds: &rbacconfigv3.Principal_Set{Ids: []*rbacconfigv3.Principal{
					present(contract.HeaderPassOwner, false), present(contract.HeaderUser, true),
				}}}},
			},
		}},
	}}}
}

func exactly(value string) *routev3.HeaderMatcher_StringMatch {
	return &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value},
	}}
}

func pack(m proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	// Deterministic bytes: a map in random order would look like a change to Envoy.
	if err := anypb.MarshalFrom(packed, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(fmt.Sprintf("marshal %T: %v", m, err)) // only for invalid UTF-8, which server.Valid refuses
	}
	return packed
}
