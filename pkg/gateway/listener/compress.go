package listener

import (
	xdsmatcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	skipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// compressMin is the smallest reply that is compressed, in bytes: a smaller one fits into a
// packet as it is.
const compressMin = 1024

// compressible are the types of the replies that Envoy compresses: code, styles and what they
// draw with. Not pages and not JSON: in a reply with a secret and with text that an attacker
// chose, the length of the compressed reply tells the secret (BREACH). Not WOFF: it is compressed.
func compressible() []string {
	return []string{
		"text/javascript", "application/javascript", "application/x-javascript", "text/ecmascript", "application/ecmascript",
		"text/css", "image/svg+xml", "application/wasm",
		"font/ttf", "font/otf", "font/sfnt", "font/collection", "application/vnd.ms-fontobject", "application/x-font-ttf", "application/x-font-otf",
		"application/source-map", // as jupyter_server_config.py calls them
	}
}

// compressors are the encodings that Envoy offers, brotli first. The levels are the best that a
// stream's memory allows: Envoy keeps a compressor for as long as its client takes to read, and
// a client may open a hundred streams. Measured with Envoy 1.40, for the 5.2 MB of a first visit
// and for a stream:
//
//	brotli 3    1.36 MB, 38 ms, 1.4 MB of memory (4, with Envoy's default input block: 54 MB)
//	zstd 1      1.50 MB, 20 ms, 1.5 MB of memory (3: 1.36 MB, 3.9 MB of memory)
//	gzip 4      1.38 MB, 48 ms, 0.4 MB of memory
func compressors() *hcmv3.HttpFilter {
	return httpFilter(envoyapi.CompressFilter, unlessData(
		compressor("brotli", true, &brotliv3.Brotli{
			Quality: wrapperspb.UInt32(3), WindowBits: wrapperspb.UInt32(18), InputBlockBits: wrapperspb.UInt32(16), //nolint:mnd // here only
		}),
		compressor("zstd", false, &zstdv3.Zstd{CompressionLevel: wrapperspb.UInt32(1)}),
		compressor("gzip", false, &gzipv3.Gzip{
			CompressionLevel: gzipv3.Gzip_COMPRESSION_LEVEL_4,
			WindowBits:       wrapperspb.UInt32(15), MemoryLevel: wrapperspb.UInt32(6), //nolint:mnd // here only
		}),
	))
}

// unlessData makes filters unless the answer will be data, which is never compressed, or a part of
// a file, whose bytes are counted in the file as it is (RFC 9110 §14). Data is what a page's
// script fetches below a segment "api", as JupyterLab does several times a second. Each filter
// that is made takes 2 % of such a request's instructions, to leave the answer alone.
func unlessData(filters ...*corev3.TypedExtensionConfig) *matchingv3.ExtensionWithMatcher {
	skip := func(p *xdsmatcherv3.Matcher_MatcherList_Predicate) *xdsmatcherv3.Matcher_MatcherList_FieldMatcher {
		return &xdsmatcherv3.Matcher_MatcherList_FieldMatcher{Predicate: p, OnMatch: onMatch("skip", envoyapi.Pack(&skipv3.SkipFilter{}))}
	}
	data := &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_AndMatcher{
		AndMatcher: &xdsmatcherv3.Matcher_MatcherList_Predicate_PredicateList{Predicate: []*xdsmatcherv3.Matcher_MatcherList_Predicate{
			headerLike(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: "sec-fetch-dest"}, "empty"),
			headerLike(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: ":path"}, `[^?]*/api([/?].*)?`),
		}},
	}}
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: envoyapi.CompressFilter, TypedConfig: envoyapi.Pack(&compositev3.Composite{})},
		XdsMatcher: &xdsmatcherv3.Matcher{
			MatcherType: &xdsmatcherv3.Matcher_MatcherList_{MatcherList: &xdsmatcherv3.Matcher_MatcherList{
				Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{skip(data), skip(headerHas(&matcherv3.HttpRequestHeaderMatchInput{HeaderName: "range"}))},
			}},
			OnNoMatch: onMatch("compress", envoyapi.Pack(&compositev3.ExecuteFilterAction{
				FilterChain: &compositev3.FilterChainConfiguration{TypedConfig: filters},
			})),
		},
	}
}

// compressor compresses replies that a client accepts in this encoding. first is the one of
// several that the client accepts alike.
//
// A strong ETag becomes a weak one: it names other bytes now (RFC 9110 §8.8.1). Servers compare
// If-None-Match weakly (§13.1.2), so they still answer 304.
func compressor(name string, first bool, library proto.Message) *corev3.TypedExtensionConfig {
	var types []*matcherv3.StringMatcher
	for _, one := range compressible() {
		types = append(types, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: one}, IgnoreCase: true})
	}
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: envoyapi.Pack(exceptUntyped(name, &compressorv3.Compressor{
		ResponseDirectionConfig: &compressorv3.Compressor_ResponseDirectionConfig{
			CommonConfig: &compressorv3.Compressor_CommonDirectionConfig{
				MinContentLength:   wrapperspb.UInt32(compressMin),
				ContentTypeMatcher: types,
			},
			WeakenEtagOnCompress:        true,
			UncompressibleResponseCodes: []uint32{206}, //nolint:mnd // Partial Content
		},
		CompressorLibrary: &corev3.TypedExtensionConfig{Name: name, TypedConfig: envoyapi.Pack(library)},
		ChooseFirst:       first,
	}))}
}

// exceptUntyped leaves filter out of replies without a type, which the filter by itself would
// take for compressible.
func exceptUntyped(name string, filter proto.Message) *matchingv3.ExtensionWithMatcher {
	untyped := &xdsmatcherv3.Matcher_MatcherList_Predicate{MatchType: &xdsmatcherv3.Matcher_MatcherList_Predicate_NotMatcher{
		NotMatcher: headerHas(&matcherv3.HttpResponseHeaderMatchInput{HeaderName: "content-type"}),
	}}
	return &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{Name: name, TypedConfig: envoyapi.Pack(filter)},
		XdsMatcher: &xdsmatcherv3.Matcher{MatcherType: &xdsmatcherv3.Matcher_MatcherList_{
			MatcherList: &xdsmatcherv3.Matcher_MatcherList{Matchers: []*xdsmatcherv3.Matcher_MatcherList_FieldMatcher{
				{Predicate: untyped, OnMatch: onMatch("skip", envoyapi.Pack(&skipv3.SkipFilter{}))},
			}},
		}},
	}
}
