package listener

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// Regular expressions (RE2) on a whole :path. Envoy does not normalise it: a server gets
// every byte below its own prefix as the client sent it, and Envoy refuses the few paths that
// Envoy and a server could read differently.
const (
	// slash and dot are what a server could take for one.
	slash = `(/|\\|%2[fF]|%5[cC])`
	dot   = `(\.|%2[eE])`
	// dotSegment matches a path with a segment "." or "..", plain or hidden in escapes. Envoy
	// picks the route without resolving it and a server might resolve it (CVE-2019-9901).
	// Some servers end the segment at ";" (CVE-2026-73551).
	dotSegment = `[^?]*` + slash + dot + `{1,2}(` + slash + `.*|;.*|%3[bB].*|\?.*)?`
	// unprintable matches a byte that no URI has (RFC 3986 §2). Envoy takes bytes beyond ASCII
	// over HTTP/2 and would send them on over HTTP/1.1, where it refuses them itself.
	unprintable = `.*[^!-~].*`
	// brokenOwner matches a path below /user/ whose next segment, the key of the scope, is
	// empty or looks like two segments to a reader that decodes it.
	brokenOwner = contract.PathUser + `(/.*|[^/?]*(\\|%2[fF]|%5[cC]).*)`
	// brokenOwn matches a path that is not in our own one spelling: with an empty segment, an
	// escaped slash or a backslash.
	brokenOwn = `[^?]*(//|\\|%2[fF]|%5[cC]).*`
)

// methods are what a request may do: those of RFC 9110 and RFC 5789 but TRACE, which shows a
// page what the browser hides from it, and CONNECT; and those of WebDAV (RFC 4918, 3253,
// 5323), which applications that share files use.
func methods() []string {
	return []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
		"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
	}
}

// refused is the name of a token that no request has: Envoy refuses a request of which a
// rule asks it. jwt_authn judges each request first and by its rules in turn, so this costs
// one regular expression; an RBAC filter of its own costs four times as much.
const refused = "refused"

// refusedKey is there because Envoy wants a key of every provider. Its private half was thrown
// away, and the header that would hold a token is removed from every request.
const refusedKey = `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","x":"NF8giqOF1-790Is--9AoGvc6LN42zFr9rytdaO1FxJM","y":"stK7cCA-fNKRuN_Vcv9QECwl8VZDSSL2M2oI1vx5Trk"}]}`

func refusedProvider() *jwtv3.JwtProvider {
	return &jwtv3.JwtProvider{
		JwksSourceSpecifier: &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: refusedKey},
		}},
		FromHeaders: []*jwtv3.JwtHeader{{Name: contract.PrivatePrefix + refused}}, // removed from requests before
	}
}

// formRules refuse what no service and no server is to read.
func formRules() []*jwtv3.RequirementRule {
	return []*jwtv3.RequirementRule{
		refuse(&routev3.HeaderMatcher{
			Name: ":path", HeaderMatchSpecifier: envoyapi.Regex(dotSegment + "|" + unprintable + "|" + brokenOwner),
		}),
		refuse(notAMethod()),
	}
}

func notAMethod() *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: ":method", InvertMatch: true, HeaderMatchSpecifier: envoyapi.Regex(strings.Join(methods(), "|"))}
}

// ownFormRules, behind those that judge passes, refuse what our own services are not to read.
func ownFormRules() []*jwtv3.RequirementRule {
	return []*jwtv3.RequirementRule{
		{Match: prefix(contract.PathUser)},          // the rest of the path is the server's
		{Match: prefix(contract.PathHub + "user/")}, // so is this one's: Envoy leads here when the server does not run
		{Match: prefix(contract.PathUserRedirect)},
		refuse(&routev3.HeaderMatcher{Name: ":path", HeaderMatchSpecifier: envoyapi.Regex(brokenOwn)}),
	}
}

func refuse(which *routev3.HeaderMatcher) *jwtv3.RequirementRule {
	match := prefix("")
	match.Headers = []*routev3.HeaderMatcher{which}
	return &jwtv3.RequirementRule{Match: match, RequirementType: &jwtv3.RequirementRule_Requires{
		Requires: &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: refused}},
	}}
}

func prefix(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: path}}
}
