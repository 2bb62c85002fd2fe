package listener

import (
	"encoding/base64"
	"slices"

	mutationrulesv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// chain ends checks with the router.
func chain(checks []*hcmv3.HttpFilter) []*hcmv3.HttpFilter {
	return append(slices.Clone(checks), httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}))
}

// websockets takes upgrades through the same checks as any request, and then mends
// those that came over HTTP/2. RFC 8441 §5.1 has no Sec-WebSocket-Key; the pod, which
// Envoy asks over HTTP/1.1, must have one (RFC 6455 §4.2.1), and without it every
// kernel's websocket of a browser on HTTP/2 would be answered 400. Which key does not
// matter: it protects from caches, and there is none between Envoy and the pod.
//
// Routes say where upgrades are allowed.
func websockets(checks []*hcmv3.HttpFilter) []*hcmv3.HttpConnectionManager_UpgradeConfig {
	key := httpFilter("envoy.filters.http.header_mutation", &mutationv3.HeaderMutation{
		Mutations: &mutationv3.Mutations{RequestMutations: []*mutationrulesv3.HeaderMutation{{
			Action: &mutationrulesv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
				Header: &corev3.HeaderValue{
					Key: "sec-websocket-key", Value: base64.StdEncoding.EncodeToString([]byte("perijove-gateway")), // 16 bytes
				},
				AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT,
			}},
		}}},
	})
	return []*hcmv3.HttpConnectionManager_UpgradeConfig{{
		UpgradeType: "websocket",
		Enabled:     wrapperspb.Bool(false),
		Filters:     chain(append(slices.Clone(checks), key)),
	}}
}
