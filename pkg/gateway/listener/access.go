package listener

import (
	"strings"
	"time"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	skipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/web/cookies"
)

// How Envoy judges passes.
const (
	// passClockSkew is Envoy's tolerance, in seconds. 0 would mean its default of a minute
	// and double a pass's life.
	passClockSkew = 1
	// passCache is how many verified passes a worker remembers, about 3 KB each: a
	// signature costs more than the rest of a request.
	passCache = 20_000
	// passMaxBytes bounds a token that is remembered.
	passMaxBytes = 2048
	// passKeysEvery is how old the public keys may be. A pass by a key that is newer than
	// that goes to authz, which knows it: a rotation of keys ends no session.
	passKeysEvery = time.Minute
)

// checks are the filters that every request must pass, upgrades too, in the order of
// judgement. Envoy refuses requests by their form. It skips authz for a request with a pass
// that it can verify; authz judges every other request. The last one (confine) admits a pass for
// the route's owner, and requests in which authz has named the user. So a request that slipped
// past authz, for example because a delegating filter could not make its delegate, ends there.
func checks(s Settings) []*hcmv3.HttpFilter {
	first := httpFilter(envoyapi.JWTFilter, judgeFirst(s))
	if !s.PassChecked {
		return []*hcmv3.HttpFilter{first, httpFilter(envoyapi.ExtAuthzFilter, extAuthz()), confine()}
	}
	return []*hcmv3.HttpFilter{
		first,
		httpFilter(envoyapi.ExtAuthzFilter, unlessPassed(extAuthz())),
		confine(),
	}
}

// pass is the name of the provider of passes in jwt_authn.
const pass = "pass"

// judgeFirst refuses requests by their form and verifies passes.
func judgeFirst(s Settings) *jwtv3.JwtAuthentication {
	config := &jwtv3.JwtAuthentication{
		Providers: map[string]*jwtv3.JwtProvider{refused: refusedProvider()},
		Rules:     formRules(),
		// No request is to bring a token: the refusal has no WWW-Authenticate.
		StripFailureResponse: true,
	}
	if s.PassChecked {
		config.Providers[pass] = passProvider(s)
		config.Rules = append(config.Rules, passRule(s))
	}
	config.Rules = append(config.Rules, ownFormRules()...)
	return config
}

// passProvider says how Envoy verifies a pass, and into which headers it copies its claims.
func passProvider(s Settings) *jwtv3.JwtProvider {
	return &jwtv3.JwtProvider{
		Issuer: contract.PassIssuer,
		JwksSourceSpecifier: &jwtv3.JwtProvider_RemoteJwks{RemoteJwks: &jwtv3.RemoteJwks{
			HttpUri: &corev3.HttpUri{
				Uri:              "http://" + contract.NameGateway + contract.PathPassKeys,
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: string(contract.UpstreamLogin)},
				Timeout:          durationpb.New(time.Second),
			},
			CacheDuration: durationpb.New(passKeysEvery),
			// Without authz there are no keys; the listener must open all the same.
			AsyncFetch: &jwtv3.JwksAsyncFetch{FastListener: true, FailedRefetchDuration: durationpb.New(time.Second)},
		}},
		FromCookies:      []string{cookies.Jar{Secure: s.Site.Secure(), PerUser: s.Site.PerUser()}.Name(contract.CookiePass)},
		ClockSkewSeconds: passClockSkew,
		JwtCacheConfig:   &jwtv3.JwtCacheConfig{JwtCacheSize: passCache, JwtMaxTokenSize: passMaxBytes},
		ClaimToHeaders: []*jwtv3.JwtClaimToHeader{
			{HeaderName: contract.HeaderUser, ClaimName: contract.ClaimUser},
			{HeaderName: contract.HeaderDisplayName, ClaimName: contract.ClaimDisplayName},
			{HeaderName: contract.HeaderPassOwner, ClaimName: contract.ClaimOwner},
		},
	}
}

// passRule has Envoy verify the pass of requests that only read. authz judges the rest:
// requests that change something or open a websocket, by their origin (S9, S10), requests
// with an Authorization header, and the page behind JupyterLab's logout, which authz answers.
func passRule(s Settings) *jwtv3.RequirementRule {
	match := prefix(contract.PathUser)
	match.Headers = onlyReads(s)
	return &jwtv3.RequirementRule{
		Match: match,
		// In this order: the second requirement alone would not use the cache.
		RequirementType: &jwtv3.RequirementRule_Requires{Requires: anyRequirement(
			&jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: pass}},
			&jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_AllowMissingOrFailed{AllowMissingOrFailed: &emptypb.Empty{}}},
		)},
	}
}

func onlyReads(s Settings) []*routev3.HeaderMatcher {
	all := []*routev3.HeaderMatcher{
		{Name: ":method", HeaderMatchSpecifier: envoyapi.Exact("GET")},
		envoyapi.Present("upgrade", false),
		envoyapi.Present("authorization", false),
		// authz counts an opened page as activity of the user; the files of the page come by
		// the pass.
		{Name: "sec-fetch-mode", InvertMatch: true, TreatMissingHeaderAsEmpty: true, HeaderMatchSpecifier: envoyapi.Exact("navigate")},
		without(":path", "/"+contract.SegmentLogout), // authz answers it (contract.Route)
		without(":path", contract.QueryToken+"="),    // authz takes the token out of the path before a server sees it
	}
	if s.Site.PerUser() {
		// authz judges requests of other users' pages (S8). Those pages are of the same site,
		// so the browser sends the pass with them.
		all = append(all, &routev3.HeaderMatcher{
			Name: "sec-fetch-site", TreatMissingHeaderAsEmpty: true, HeaderMatchSpecifier: envoyapi.Regex("(same-origin|none)?"),
		})
	}
	return all
}

// without matches a request whose header does not contain text.
func without(header, text string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: header, InvertMatch: true, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: text}},
	}}
}

func anyRequirement(list ...*jwtv3.JwtRequirement) *jwtv3.JwtRequirement {
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAny{
		RequiresAny: &jwtv3.JwtRequirementOrList{Requirements: list},
	}}
}

// unlessPassed runs check unless Envoy verified a pass. Envoy then does not even create the
// filter: ext_authz's own way of being skipped costs twice as much.
func unlessPassed(check *authzv3.ExtAuthz) *matchingv3.ExtensionWithMatcher {
	verified := headerHas(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: contract.HeaderPassOwner})
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: envoyapi.ExtAuthzFilter, TypedConfig: envoyapi.Pack(&compositev3.Composite{})},
		XdsMatcher: &xdsmatcherv3.Matcher{
			MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
				Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{
					{Predicate: verified, OnMatch: onMatch("skip", envoyapi.Pack(&skipv3.SkipFilter{}))},
				},
			}},
			OnNoMatch: onMatch("ask authz", envoyapi.Pack(&compositev3.ExecuteFilterAction{
				TypedConfig: &corev3.TypedExtensionConfig{Name: envoyapi.ExtAuthzFilter, TypedConfig: envoyapi.Pack(check)},
			})),
		},
	}
}

func onMatch(name string, action *anypb.Any) *xdsmatcherv3.Matcher_OnMatch {
	return &xdsmatcherv3.Matcher_OnMatch{OnMatch: &xdsmatcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: action},
	}}
}

// headerHas matches a message whose header, which input names, is there and not empty.
func headerHas(input proto.Message) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return headerLike(input, ".+")
}

// headerLike matches a message whose header, which input names, the expression (RE2) matches as a
// whole.
func headerLike(input proto.Message, expression string) *xdsmatcherv3.Matcher_MatcherList_Predicate {
	return &xdsmatcherv3.Matcher_MatcherList_Predicate{
		MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
			SinglePredicate: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
				Input: &xdscorev3.TypedExtensionConfig{Name: "header", TypedConfig: envoyapi.Pack(input)},
				Matcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: &xdsmatcherv3.StringMatcher{
					MatchPattern: &xdsmatcherv3.StringMatcher_SafeRegex{SafeRegex: &xdsmatcherv3.RegexMatcher{
						EngineType: &xdsmatcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &xdsmatcherv3.RegexMatcher_GoogleRE2{}}, Regex: expression,
					}},
				}},
			},
		},
	}
}

// extAuthz asks authz. Envoy lets no request through while authz does not answer.
func extAuthz() *authzv3.ExtAuthz {
	exact := envoyapi.ExactString
	return &authzv3.ExtAuthz{
		TransportApiVersion: corev3.ApiVersion_V3,
		// Fail closed, and say that it is an outage: the default 403 would hide one.
		FailureModeAllow: false,
		StatusOnError:    &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		Services: &authzv3.ExtAuthz_GrpcService{GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: contract.ClusterAuthz},
			},
			Timeout: durationpb.New(authzTimeout),
			// Of the request that is judged (contract.Route).
			InitialMetadata: []*corev3.HeaderValue{{Key: contract.MetadataRoute, Value: "%ROUTE_NAME%"}},
		}},
		AllowedHeaders: &matcherv3.ListStringMatcher{Patterns: []*matcherv3.StringMatcher{
			exact("cookie"), exact("authorization"), exact("accept"), exact("accept-language"),
			exact("connection"), exact("upgrade"), exact("origin"), exact("referer"), exact("x-requested-with"),
			exact("x-forwarded-proto"), exact(contract.HeaderRequestID),
			{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "sec-fetch-"}},
		}},
		// authz may set only the headers that the contract names.
		DecoderHeaderMutationRules: &mutationrulesv3.HeaderMutationRules{
			DisallowIsError: wrapperspb.Bool(true),
			DisallowAll:     wrapperspb.Bool(true),
			AllowExpression: &matcherv3.RegexMatcher{Regex: authzHeaders()},
		},
	}
}

// authzHeaders matches (RE2, the whole name) the headers that authz may set or remove.
func authzHeaders() string {
	names := contract.AuthzHeaders()
	for i, name := range names {
		names[i] = strings.TrimPrefix(name, contract.PrivatePrefix)
	}
	return "cookie|" + contract.PrivatePrefix + "(" + strings.Join(names, "|") + ")|authorization"
}
