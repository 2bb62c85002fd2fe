package scopes

import (
	"maps"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// ours is how requests for our own services are treated: they may read and set our
// cookies. Where authz is asked it takes the cookies away. Envoy compresses none of their
// answers: a compressor takes memory for as long as its client reads, and anybody may ask (D10).
func ours() map[string]*anypb.Any {
	return disabled(envoyapi.ConfineFilter, envoyapi.CompressFilter)
}

// open is the same for what anybody may ask: the filter that asks authz is not even made.
func open() map[string]*anypb.Any {
	filters := ours()
	maps.Copy(filters, disabled(envoyapi.ExtAuthzFilter))
	return filters
}

func disabled(names ...string) map[string]*anypb.Any {
	filters := map[string]*anypb.Any{}
	for _, name := range names {
		filters[name] = envoyapi.Pack(&routev3.FilterConfig{Disabled: true})
	}
	return filters
}
