package listener

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
)

// accessLogs are the lines for administrators and the reports for authz.
func accessLogs() []*accesslogv3.AccessLog { return []*accesslogv3.AccessLog{lines(), reports()} }

// whileOpen has Envoy visit its logs now and then as long as a request lasts.
func whileOpen() *hcmv3.HttpConnectionManager_HcmAccessLogOptions {
	return &hcmv3.HttpConnectionManager_HcmAccessLogOptions{AccessLogFlushInterval: durationpb.New(contract.InputEvery)}
}

// lines writes one JSON line a request, never a query, cookie or header that may hold a
// secret. It leaves out requests that a pass let in and that succeeded: an open JupyterLab
// sends several a second, each line costs as much as a check of the pass, and the log shows
// the user twice a minute anyway, when authz renews the pass.
func lines() *accesslogv3.AccessLog {
	fields := map[string]string{
		"time": "%START_TIME%", "request_id": "%REQ(X-REQUEST-ID)%", "method": "%REQ(:METHOD)%",
		"path": "%PATH(NQ:ORIG_OR_PATH):256%", "host": "%REQ(:AUTHORITY):256%",
		"protocol": "%PROTOCOL%", "code": "%RESPONSE_CODE%", "flags": "%RESPONSE_FLAGS%",
		"client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "upstream": "%UPSTREAM_HOST%",
		"ms": "%DURATION%", "bytes_in": "%BYTES_RECEIVED%", "bytes_out": "%BYTES_SENT%",
	}
	values := map[string]*structpb.Value{}
	for k, v := range fields {
		values[k] = structpb.NewStringValue(v)
	}
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.stdout",
		Filter: all(logType(false), anyFilter(status(accesslogv3.ComparisonFilter_GE, 400), withoutHeader(contract.HeaderPassOwner))),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: envoyapi.Pack(&streamv3.StdoutAccessLog{
			AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: values}},
			}},
		})},
	}
}

// reports tell authz how many bytes each open websocket has received, so that a user who only
// types stays logged in. Of other requests, which authz sees when they begin, Envoy reports
// nothing. While authz does not answer, Envoy throws reports away and no request waits.
func reports() *accesslogv3.AccessLog {
	ofSession := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{
			Matcher: &matcherv3.MetadataMatcher{
				Filter: contract.MetadataAuthz,
				Path:   []*matcherv3.MetadataMatcher_PathSegment{{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: contract.MetadataSession}}},
				Value:  &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}},
			},
			MatchIfKeyNotFound: wrapperspb.Bool(false),
		},
	}}
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: all(logType(true), ofSession),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: envoyapi.Pack(&grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
				LogName: contract.InputReports, TransportApiVersion: corev3.ApiVersion_V3,
				GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: contract.ClusterAuthz},
				}},
			},
		})},
	}
}

// logType matches visits of a log while a request lasts, or with open false all others.
func logType(open bool) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_LogTypeFilter{
		LogTypeFilter: &accesslogv3.LogTypeFilter{
			Types: []accesslogdatav3.AccessLogType{accesslogdatav3.AccessLogType_DownstreamPeriodic}, Exclude: !open,
		},
	}}
}
