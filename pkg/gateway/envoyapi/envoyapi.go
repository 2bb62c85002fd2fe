package envoyapi

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Names of the listener's filters; routes configure filters by them. Those that every user's
// route repeats are short.
const (
	ExtAuthzFilter = "authz"
	JWTFilter      = "envoy.filters.http.jwt_authn"
	ConfineFilter  = "envoy.filters.http.lua"
	CompressFilter = "compress"
)

// Pack writes a message with deterministic bytes: a map in random order would look like a
// change to Envoy. It panics on text that is no UTF-8, which validation refuses earlier.
func Pack(m proto.Message) *anypb.Any {
	packed := &anypb.Any{}
	if err := anypb.MarshalFrom(packed, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(fmt.Sprintf("marshal %T: %v", m, err))
	}
	return packed
}

// Exact matches a header whose whole value is value.
func Exact(value string) *routev3.HeaderMatcher_StringMatch {
	return &routev3.HeaderMatcher_StringMatch{StringMatch: ExactString(value)}
}

// Regex matches a header whose whole value the expression (RE2) matches.
func Regex(expression string) *routev3.HeaderMatcher_StringMatch {
	return &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
		MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: expression}},
	}}
}

// ExactString matches value and nothing else.
func ExactString(value string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}}
}

// Present matches a request that has the header, or with is false one that has it not.
func Present(name string, is bool) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: is}}
}

// Overwrite sets a header whatever the request or response had under that name.
func Overwrite(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}
