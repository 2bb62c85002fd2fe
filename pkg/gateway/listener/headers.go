package listener

import (
	_ "embed"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// forwarded are client headers that change what some applications believe about
// the request's host or path (CVE-2026-55430 and relatives).
func forwarded() []string {
	return []string{
		"forwarded", "x-forwarded-host", "x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-method",
		"x-forwarded-port", "x-original-url", "x-rewrite-url", "x-original-uri", "x-http-method-override",
		"x-envoy-original-path",
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

//go:embed cookies.lua
var cookiesLua string

// filterCookies keeps our cookies from servers, after authz has read them, and servers
// from setting cookies that are not theirs. Lua, because no filter of Envoy's rewrites a
// Set-Cookie; cutting the Cookie header with Envoy's own filters (header_to_metadata with
// a regular expression, header_mutation) takes half as many instructions again.
func filterCookies() *hcmv3.HttpFilter {
	return httpFilter(envoyapi.CookiesFilter, &luav3.Lua{DefaultSourceCode: &corev3.DataSource{
		Specifier: &corev3.DataSource_InlineString{InlineString: cookiesLua},
	}})
}
