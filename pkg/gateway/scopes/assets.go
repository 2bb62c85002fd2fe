package scopes

import (
	_ "embed"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// assetsTimeout bounds one file to a slow browser.
const assetsTimeout = 5 * time.Minute

//go:embed assets.lua
var assetsLua string

// assetsRoute leads to the files of JupyterLab that servers share. Anybody may ask: they are the same
// for all, and the service learns nothing of who asks. Where it fails, assets.lua leads the browser
// to the server's own copy.
func assetsRoute() *routev3.Route {
	filters := open()
	filters[envoyapi.ConfineFilter] = envoyapi.Pack(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_SourceCode{
		SourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: assetsLua}},
	}})
	again := retries(retryUnsent + ",reset")
	again.NumRetries = wrapperspb.UInt32(1) // the server's own copy is near
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: contract.PathAssets}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: string(contract.UpstreamAssets)},
			Timeout:          durationpb.New(assetsTimeout),
			RetryPolicy:      again,
		}},
		RequestHeadersToRemove: []string{"cookie", "authorization"},
		TypedPerFilterConfig:   filters,
	}
}
