package listener

import (
	"encoding/base64"
	"slices"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// chain ends checks with the router.
func chain(checks []*hcmv3.HttpFilter) []*hcmv3.HttpFilter {
	return append(slices.Clone(checks), httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true, DynamicStats: wrapperspb.Bool(false)}))
}

// websockets takes upgrades through the same checks as any request, and then mends
// those that came over HTTP/2. RFC 8441 §5.1 has no Sec-WebSocket-Key; the pod, which
// Envoy asks over HTTP/1.1, must have one (RFC 6455 §4.2.1), and without it every
// kernel's websocket of a browser on HTTP/2 would be answered 400. Which key does not
// matter: it protects from caches, and there is none between Envoy and the pod.
//
// An upgrade over HTTP/1.0 is refused first: the protocol has none (RFC 9110 §7.8), and Envoy
// would answer 101.
//
// Routes say where upgrades are allowed.
func websockets(checks []*hcmv3.HttpFilter) []*hcmv3.HttpConnectionManager_UpgradeConfig {
	key := changeHeaders(
		&mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
			Header: &corev3.HeaderValue{
				Key: "sec-websocket-key", Value: base64.StdEncoding.EncodeToString([]byte("perijove-gateway")), // 16 bytes
			},
			AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT,
		}}},
		&mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Remove{Remove: contract.HeaderProtocol}},
	)
	return []*hcmv3.HttpConnectionManager_UpgradeConfig{{
		UpgradeType: "websocket",
		Enabled:     wrapperspb.Bool(false),
		Filters:     chain(slices.Concat(notOverHTTP10(), checks, []*hcmv3.HttpFilter{key})),
	}}
}

// notOverHTTP10 refuses an upgrade over HTTP/1.0. Envoy's matchers see no protocol, so it is
// written into a header first.
func notOverHTTP10() []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{
		changeHeaders(&mutationrulesv3.HeaderMutation{Action: &mutationrulesv3.HeaderMutation_Append{
			Append: envoyapi.Overwrite(contract.HeaderProtocol, "%PROTOCOL%"),
		}}),
		httpFilter("upgrade", &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{
			Action: rbacconfigv3.RBAC_DENY,
			Policies: map[string]*rbacconfigv3.Policy{"HTTP/1.0": {
				Permissions: []*rbacconfigv3.Permission{{Rule: &rbacconfigv3.Permission_Header{Header: overHTTP10()}}},
				Principals:  []*rbacconfigv3.Principal{{Identifier: &rbacconfigv3.Principal_Any{Any: true}}},
			}},
		}}),
	}
}

func overHTTP10() *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: contract.HeaderProtocol, HeaderMatchSpecifier: envoyapi.Exact("HTTP/1.0")}
}

func changeHeaders(list ...*mutationrulesv3.HeaderMutation) *hcmv3.HttpFilter {
	return httpFilter("envoy.filters.http.header_mutation", &mutationv3.HeaderMutation{
		Mutations: &mutationv3.Mutations{RequestMutations: list},
	})
}
