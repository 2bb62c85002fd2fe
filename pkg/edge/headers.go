package edge

import (
	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_to_metadata/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/cookies"
	"github.com/perijove/perijove/pkg/routes"
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
		TypedConfig: pack(&earlyv3.HeaderMutation{Mutations: list}),
	}
}

// restOfCookies is the metadata that carries the cookies that are not ours from the
// filter that cuts to the filter that writes.
const restOfCookies = "perijove.cookies"

// cutCookies takes our cookies out of the request that the upstream gets (S4): a notebook
// that kept its visitor's pass could use the server as that visitor from elsewhere. It
// comes after authz, which reads them.
func cutCookies() []*hcmv3.HttpFilter {
	cut := &metadatav3.Config{RequestRules: []*metadatav3.Config_Rule{{
		Header: "cookie",
		Remove: true,
		OnHeaderPresent: &metadatav3.Config_KeyValuePair{
			MetadataNamespace: restOfCookies, Key: "rest", Type: metadatav3.Config_STRING,
			RegexValueRewrite: &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: cookies.OursPattern()}},
		},
	}}}
	write := &filterv3.HeaderMutation{Mutations: &filterv3.Mutations{RequestMutations: []*mutationrulesv3.HeaderMutation{{
		Action: &mutationrulesv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: "cookie", Value: "%DYNAMIC_METADATA(" + restOfCookies + ":rest)%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}}}}
	return []*hcmv3.HttpFilter{
		httpFilter(routes.CutCookiesFilter, cut),
		httpFilter("envoy.filters.http.header_mutation", write),
	}
}
