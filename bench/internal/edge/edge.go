// Package edge takes our listener apart: it gives Envoy the same listener and routes as the
// xds-server, as a static configuration with only some of the filters.
package edge

import (
	"fmt"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Edge is one listener with the routes of some servers.
type Edge struct {
	Host    string // that it answers
	Port    uint32 // on 127.0.0.1
	Admin   uint32
	Servers []server.Server // of different users
	// Filters are the names of those that are kept.
	Filters []string
	// Open has routes lead to servers by themselves, and no filter judge: of the script only what
	// confines servers' answers is left.
	Open bool
	// Change, if set, changes the rest last.
	Change func(*hcmv3.HttpConnectionManager) error
}

// Bootstrap is Envoy's whole configuration, without access logs and websockets. Where the script
// is left out that tells a request where to go, the routes do.
func (e Edge) Bootstrap() (*bootstrapv3.Bootstrap, error) {
	settings := listener.Settings{
		Address: "127.0.0.1", Port: e.Port, Site: origin.Site{Scheme: "http", Hosts: []string{e.Host}}, PassChecked: true,
		Authz: "unix:/nowhere/authz", Login: "unix:/nowhere/login", Hub: "unix:/nowhere/hub",
	}
	public := listener.Listener(settings)
	filter := public.GetFilterChains()[0].GetFilters()[0]
	manager := &hcmv3.HttpConnectionManager{}
	if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
		return nil, fmt.Errorf("take the listener apart: %w", err)
	}
	manager.AccessLog, manager.AccessLogOptions, manager.UpgradeConfigs = nil, nil, nil
	router := manager.GetHttpFilters()[len(manager.GetHttpFilters())-1]
	manager.HttpFilters = slices.DeleteFunc(manager.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool {
		return f != router && !slices.Contains(e.Filters, f.GetName())
	})
	if e.Open {
		if err := Filter(manager, envoyapi.ConfineFilter, &luav3.Lua{}, withoutRequests); err != nil {
			return nil, err
		}
	}
	list, err := e.scopes(settings.Site)
	if err != nil {
		return nil, err
	}
	manager.GetScopedRoutes().ConfigSpecifier = &hcmv3.ScopedRoutes_ScopedRouteConfigurationsList{
		ScopedRouteConfigurationsList: &hcmv3.ScopedRouteConfigurationsList{ScopedRouteConfigurations: list},
	}
	if e.Change != nil {
		if err := e.Change(manager); err != nil {
			return nil, err
		}
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: envoyapi.Pack(manager)}
	// Clusters that speak TLS name secrets of the bootstrap file, and no request here goes there.
	clusters := slices.DeleteFunc(listener.Clusters(settings), func(c *clusterv3.Cluster) bool { return c.GetTransportSocket() != nil })
	return &bootstrapv3.Bootstrap{
		Admin: &bootstrapv3.Admin{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: e.Admin},
		}}}},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{public}, Clusters: clusters},
	}, nil
}

func (e Edge) scopes(site origin.Site) ([]*routev3.ScopedRouteConfiguration, error) {
	settings := scopes.Settings{Site: site, ServerKey: make([]byte, 32), PassChecked: true} //nolint:mnd // any key
	var all []*routev3.ScopedRouteConfiguration
	for _, one := range e.Servers {
		list, _, _ := scopes.ForUser(settings, one.User, []server.Server{one})
		for _, scope := range list {
			all = append(all, scope.Route)
		}
	}
	if slices.Contains(e.Filters, envoyapi.ConfineFilter) && !e.Open {
		return all, nil
	}
	for _, scope := range all {
		for _, r := range scope.GetRouteConfiguration().GetVirtualHosts()[0].GetRoutes() {
			to, err := contract.ParseRoute(r.GetName())
			if err != nil {
				return nil, err
			}
			r.RequestHeadersToAdd = append(r.RequestHeadersToAdd, envoyapi.Overwrite(contract.HeaderDestination, to.Address.String()))
		}
	}
	return all, nil
}

// withoutRequests leaves of the script what it does with servers' answers.
func withoutRequests(config *luav3.Lua) {
	config.DefaultSourceCode = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{
		InlineString: config.GetDefaultSourceCode().GetInlineString() + "\nenvoy_on_request = nil\n",
	}}
}

// Filter changes one filter's configuration in place.
func Filter[M proto.Message](manager *hcmv3.HttpConnectionManager, name string, config M, change func(M)) error {
	for _, f := range manager.GetHttpFilters() {
		if f.GetName() != name {
			continue
		}
		if err := f.GetTypedConfig().UnmarshalTo(config); err != nil {
			return fmt.Errorf("take filter %s apart: %w", name, err)
		}
		change(config)
		f.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: envoyapi.Pack(config)}
	}
	return nil
}
