package scopes

import (
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// hubTimeout bounds a request for a page of ours. /hub/api has none: it streams progress for
// as long as its client listens.
const hubTimeout = 60 * time.Second

// hubName tells authz that a request is for our own services.
const hubName = contract.KindHub // contract.Route{Kind: contract.KindHub}.Name()

// Hub returns the scopes of the platform's own pages and files, sorted by name.
func Hub(s Settings) []Scope {
	var out []Scope
	for _, page := range contract.HubPages() {
		out = append(out, scope(s, page.Segment, "", nil))
	}
	if s.Assets {
		out = append(out, scope(s, contract.SegmentAssets, "", nil))
	}
	slices.SortFunc(out, func(a, b Scope) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// hubRoutes lead to one page of ours and everything below it. Reading is tried again in more cases
// than the rest.
func hubRoutes(page contract.HubPage) []*routev3.Route {
	rest := hubRoute(page)
	if page.Upstream != contract.UpstreamHub {
		return []*routev3.Route{rest}
	}
	rest.GetRoute().RetryPolicy = retries(retryUnsent)
	reads := hubRoute(page)
	reads.Match.Headers = onlyReads()
	reads.GetRoute().RetryPolicy = retries(retryUnsent + ",reset")
	return []*routev3.Route{reads, rest}
}

func onlyReads() []*routev3.HeaderMatcher {
	return []*routev3.HeaderMatcher{{
		Name: ":method",
		HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "GET|HEAD"}},
		}},
	}}
}

// Envoy tries a request again when a spawner cannot have seen it. A spawner that is killed may have
// begun to answer one that starts or stops a server: doing that twice is for its user to decide. Only
// reading is tried again then. See the conditions in Envoy's documentation of x-envoy-retry-on.
const retryUnsent = "connect-failure,refused-stream,reset-before-request"

// retries are tried for a few seconds: so long a spawner that was killed may still get connections.
func retries(on string) *routev3.RetryPolicy {
	const times, first, longest = 6, 100 * time.Millisecond, time.Second
	return &routev3.RetryPolicy{
		RetryOn: on, NumRetries: wrapperspb.UInt32(times),
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(first), MaxInterval: durationpb.New(longest)},
	}
}

// hubRoute leads to one page of ours and everything below it.
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
	filters := ours()
	if page.Open {
		filters = open()
	}
	return &routev3.Route{
		Name:  hubName,
		Match: match,
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(page.Upstream)},
			Timeout:          durationpb.New(timeout),
		}},
		RequestHeadersToAdd:  clientAddress(page.Upstream),
		TypedPerFilterConfig: filters,
	}
}

// openAPIRoutes lead to what anybody may ask of the REST API. The spawner is told nothing of who
// asks, which authz would have judged.
func openAPIRoutes() (all []*routev3.Route) {
	for _, e := range contract.EndpointsOf(contract.UpstreamHub) {
		if !e.Open() {
			continue
		}
		all = append(all, &routev3.Route{
			Match: &routev3.RouteMatch{
				PathSpecifier: &routev3.RouteMatch_Path{Path: strings.TrimSuffix(e.Path, "{$}")},
				Headers:       onlyReads(),
			},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamHub)},
				Timeout:          durationpb.New(hubTimeout),
				RetryPolicy:      retries(retryUnsent + ",reset"),
			}},
			RequestHeadersToRemove: []string{"cookie", "authorization"},
			TypedPerFilterConfig:   open(),
		})
	}
	return all
}

// ownAPIRoute leads to the part of the REST API that authz answers.
func ownAPIRoute() *routev3.Route {
	return &routev3.Route{
		Name: hubName,
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: contract.PatternOwnAPI()},
		}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamLogin)},
			Timeout:          durationpb.New(hubTimeout),
		}},
		RequestHeadersToAdd:  clientAddress(contract.UpstreamLogin),
		TypedPerFilterConfig: ours(),
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
		RequestHeadersToAdd:  clientAddress(contract.UpstreamLogin),
		TypedPerFilterConfig: open(), // the nonce is in a cookie
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
