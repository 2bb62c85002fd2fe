package ads

import (
	"crypto/rand"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// markName is the mark's key in a route configuration's metadata.
const markName = "perijove.sent"

// mayApplyHalf reports whether Envoy may apply half of a refused response of this type. It does
// so with scopes: it lists the good ones of the response and does not route by them. A scope that
// is then sent again with the same content is no news to it, so its user's route would never
// come.
func mayApplyHalf(typeURL string) bool { return typeURL == resourcev3.ScopedRouteType }

// mark returns what the scopes of one response are marked with, nil for no mark.
func (t *typeState) mark() []byte {
	if !t.afresh {
		return nil
	}
	text := structpb.NewStringValue(rand.Text())
	data, _ := proto.Marshal(&routev3.ScopedRouteConfiguration{RouteConfiguration: &routev3.RouteConfiguration{
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			markName: {Fields: map[string]*structpb.Value{"mark": text}},
		}},
	}}) // a text of letters: it cannot fail
	return data
}

// marked returns a scope with the mark in its metadata, which no filter reads. Its content then
// differs from all that Envoy lists, so Envoy applies it without a withdrawal that would leave
// the user without a route meanwhile. The mark is appended: one message after another in one
// encoding is their merge (protobuf, "Last One Wins").
func marked(scope *anypb.Any, mark []byte) *anypb.Any {
	if mark == nil {
		return scope
	}
	return &anypb.Any{TypeUrl: scope.GetTypeUrl(), Value: slices.Concat(scope.GetValue(), mark)}
}
