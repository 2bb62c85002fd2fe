package listener

import (
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Listeners returns every listener: the public one and, with a RedirectPort, the one
// that redirects plain text to https.
func Listeners(s Settings) []*listenerv3.Listener {
	if s.RedirectPort == 0 {
		return []*listenerv3.Listener{Listener(s)}
	}
	return []*listenerv3.Listener{Listener(s), redirectListener(s)}
}

// redirectListener knows no upstream and reads no cookie: it answers every request with the
// same path on https.
func redirectListener(s Settings) *listenerv3.Listener {
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:                   contract.RedirectListenerName,
		NormalizePath:                wrapperspb.Bool(false), // https judges the path
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_KEEP_UNCHANGED,
		UseRemoteAddress:             wrapperspb.Bool(true),
		XffNumTrustedHops:            s.TrustedHops,
		InternalAddressConfig:        noInternalClients(),
		RequestHeadersTimeout:        durationpb.New(headersTimeout),
		StreamIdleTimeout:            durationpb.New(headersTimeout),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  durationpb.New(headersTimeout),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		HttpProtocolOptions: http1(),
		StripPortMode:       &hcmv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true},
		RouteSpecifier:      &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: redirects(s.Site)},
		HttpFilters:         []*hcmv3.HttpFilter{httpFilter("envoy.filters.http.router", &routerv3.Router{})},
	}
	return &listenerv3.Listener{
		Name: contract.RedirectListenerName,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address:       s.Address,
			PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: s.RedirectPort},
		}}},
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: envoyapi.Pack(manager)},
			}},
		}},
	}
}

// redirects leads each of our names to itself on https, with the port that it has there.
// Envoy answers 404 to any other name, so a Location never repeats a foreign one.
func redirects(site origin.Site) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: contract.RedirectListenerName}
	var seen []string
	for _, host := range site.Hosts {
		name := origin.WithoutPort(host)
		if slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
			Name:    name,
			Domains: []string{name},
			Routes:  toHTTPS(&routev3.RedirectAction{HostRedirect: host}),
		})
	}
	if site.PerUser() {
		// Every name below the domain is ours, so it may stay as it is.
		own := &routev3.RedirectAction{}
		host := site.AnyUser()[0]
		if _, port, found := strings.Cut(host, ":"); found {
			n, _ := strconv.ParseUint(port, 10, 16) // of a URL that was parsed
			own.PortRedirect = uint32(n)
		}
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
			Name: "people", Domains: []string{origin.WithoutPort(host)}, Routes: toHTTPS(own),
		})
	}
	return config
}

func toHTTPS(to *routev3.RedirectAction) []*routev3.Route {
	to.SchemeRewriteSpecifier = &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true}
	to.ResponseCode = routev3.RedirectAction_MOVED_PERMANENTLY
	return []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Redirect{Redirect: to},
	}}
}
