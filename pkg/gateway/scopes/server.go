package scopes

import (
	"regexp"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/server"
)

// maxStream bounds a request and an open websocket. A user whose session ended loses open
// websockets after that; JupyterLab connects its kernels anew without a visible break.
const maxStream = time.Hour

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
	ask.Match = &routev3.RouteMatch{
		PathSpecifier: &routev3.RouteMatch_Path{Path: prefix},
		// Browsers open pages by GET. Any other request is for the server, so the listener's
		// rules must judge it.
		Headers: []*routev3.HeaderMatcher{{Name: ":method", HeaderMatchSpecifier: envoyapi.Exact("GET")}},
	}
	ask.TypedPerFilterConfig = map[string]*anypb.Any{envoyapi.JWTFilter: envoyapi.Pack(&jwtv3.PerRouteConfig{
		RequirementSpecifier: &jwtv3.PerRouteConfig_Disabled{Disabled: true},
	})}
	return ask
}

func serverRoute(s Settings, one server.Server, prefix string) *routev3.Route {
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: clusterOf(one)},
		// Kernels' websockets, long downloads and exports have no natural end.
		Timeout:           durationpb.New(0),
		IdleTimeout:       durationpb.New(0),
		MaxStreamDuration: &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(maxStream)},
		UpgradeConfigs:    []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket"}},
	}
	switch canonical := strings.TrimSuffix(one.Prefix(), "/"); {
	case one.StripPrefix:
		action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			// All slashes: an application that gets //evil.example for a path may redirect there (U3).
			Pattern:      &matcherv3.RegexMatcher{Regex: "^" + regexp.QuoteMeta(prefix) + `[/\\]*`},
			Substitution: "/",
		}
	case prefix != canonical:
		// The application knows one spelling of its base URL.
		action.PrefixRewrite = canonical
	}
	var headers []*corev3.HeaderValueOption
	if one.ProofName != "" {
		headers = append(headers, envoyapi.Overwrite(contract.HeaderProofName, one.ProofName))
	}
	if one.Nonce != "" {
		secret := contract.ServerSecret(s.ServerKey, one.Namespace, one.Pod, one.Nonce)
		headers = append(headers, envoyapi.Overwrite(contract.HeaderServerSecret, secret))
	}
	return &routev3.Route{
		Name:                named(one),
		Match:               separated(prefix),
		Action:              &routev3.Route_Route{Route: action},
		RequestHeadersToAdd: headers,
	}
}

// clusterOf is the cluster whose connections are made as the pod speaks.
func clusterOf(one server.Server) string {
	if one.ProofName != "" {
		return contract.ClusterProvenPods
	}
	return contract.ClusterPods
}

// named is the name of a server's route. It says where the pod is, too: a route that named the
// address in a header would lead there whoever asks, if the edge's filters failed to judge.
func named(one server.Server) string {
	return contract.Route{
		Kind: contract.KindServer, Prefix: one.Prefix(), Owner: one.User, Server: one.Name, Address: one.Addr,
		Logout: one.Name == "" && one.Nonce != "",
	}.Name()
}

func separated(prefix string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}
}
