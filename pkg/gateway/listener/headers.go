package listener

import (
	_ "embed"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// forwarded are headers that applications believe when a proxy sends them, so a client's copy
// must not reach one: about the request's host, path and scheme (CVE-2026-55430 and
// relatives), the client's address, the user. Envoy itself writes x-forwarded-for and
// x-forwarded-proto.
func forwarded() []string {
	return []string{
		"forwarded", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-method",
		"x-forwarded-port", "x-original-url", "x-rewrite-url", "x-original-uri", "x-http-method-override",
		"x-envoy-original-path",
		"x-forwarded-server", "x-forwarded-scheme", "x-forwarded-ssl", "x-scheme", // Tornado believes the last before x-forwarded-proto
		"x-real-ip", "x-client-ip", "true-client-ip", // Tornado believes the first before x-forwarded-for
		"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token",
		"remote-user", "x-remote-user", "x-webauth-user", "x-auth-request-user", "x-auth-request-email",
	}
}

// earlyMutations runs before the scope is chosen: it removes every private header
// that a client sent and then writes the scope header.
func earlyMutations() *corev3.TypedExtensionConfig {
	list := []*mutationrulesv3.HeaderMutation{{Action: &mutationrulesv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationrulesv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: contract.PrivatePrefix}, IgnoreCase: true,
		}},
	}}}
	for _, name := range forwarded() {
		list = append(list, &mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Remove{Remove: name}})
	}
	list = append(list, &mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Append{
		Append: &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: contract.HeaderScope, Value: "%PATH(NQ:PATH)%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		},
	}})
	return &corev3.TypedExtensionConfig{
		Name:        "envoy.http.early_header_mutation.header_mutation",
		TypedConfig: envoyapi.Pack(&earlyv3.HeaderMutation{Mutations: list}),
	}
}

//go:embed confine.lua
var confineLua string

// confine keeps our cookies from servers, after authz has read them, and keeps servers'
// answers from acting on more than the server: by a cookie, a service worker or a header about
// the whole origin. Lua, because no filter of Envoy's rewrites a Set-Cookie. Envoy's own
// filters take more instructions for the rest too: cutting the Cookie header with
// header_to_metadata and header_mutation half as many again, removing the response headers
// with header_mutation twice as many.
//
// The route stays as it was judged. By default Envoy would pick it anew after a cookie was cut
// out, which costs more than the cutting, and might find another if one was pushed meanwhile.
func confine() *hcmv3.HttpFilter {
	return httpFilter(envoyapi.ConfineFilter, &luav3.Lua{
		DefaultSourceCode: &corev3.DataSource{
			Specifier: &corev3.DataSource_InlineString{InlineString: confineLua},
		},
		ClearRouteCache: wrapperspb.Bool(false),
	})
}
