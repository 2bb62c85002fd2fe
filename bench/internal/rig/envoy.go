package rig

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/perijove/perijove/bench/internal/edge"
	"github.com/perijove/perijove/pkg/gateway/envoyapi"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/bootstrap"
	"github.com/perijove/perijove/test/repo"
)

// Envoy is a running Envoy.
type Envoy struct {
	*Proc
	Addr  string // of the listener
	Admin string
}

func (r *Rig) startEnvoy(name, config, addr, admin string, workers int, limit time.Duration) (*Envoy, error) {
	version, err := repo.Pinned("ENVOY_VERSION")
	if err != nil {
		return nil, err
	}
	file := r.Path(name + ".yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	p, err := r.start(name, nil, Cache("envoy", version, "envoy"), "-c", file, "--service-cluster", "perijove", "--service-node", name,
		"--disable-hot-restart", "--concurrency", strconv.Itoa(workers), "--log-level", "warning")
	if err != nil {
		return nil, err
	}
	e := &Envoy{Proc: p, Addr: addr, Admin: admin}
	return e, p.wait("Envoy is ready", limit, e.ready)
}

func (e *Envoy) ready() bool { return answers(http.DefaultClient, "http://"+e.Admin+"/ready") }

// ourEnvoy is Envoy with the repository's bootstrap.
func (r *Rig) ourEnvoy(name, xds, addr string, workers int) (*Envoy, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "envoy", "bootstrap.yaml"))
	if err != nil {
		return nil, fmt.Errorf("the bootstrap: %w", err)
	}
	admin := r.addr()
	config, err := bootstrap.Fit(string(text), bootstrap.Places{TLSDir: r.Path(dirTLS), XDSSock: xds, AdminPort: port(admin), PrivatePort: port(r.addr())})
	if err != nil {
		return nil, err
	}
	return r.startEnvoy(name, config, addr, admin, workers, 3*time.Minute)
}

// StartPlainEnvoy runs an Envoy that has one route to the first so many pods in turn and
// nothing else: what any design on top of Envoy is measured against.
func (r *Rig) StartPlainEnvoy(pods int) (*Envoy, error) {
	addr, admin := r.addr(), r.addr()
	var endpoints strings.Builder
	for i := range pods {
		fmt.Fprintf(&endpoints, "        - {endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}\n", PodIP(i), UpstreamPort)
	}
	return r.startEnvoy(fmt.Sprint("plain-envoy-", pods), fmt.Sprintf(plainConfig, port(admin), port(addr), endpoints.String()), addr, admin, 1, 20*time.Second)
}

// StartOpenEdge runs our edge for so many users without a judge: the same listener and routes, and
// no filter but the router, those that compress and, with confine, what keeps servers' answers from
// acting on more than the server; no access log. It leads anybody to any server.
func (r *Rig) StartOpenEdge(users int, confine bool) (*Envoy, error) {
	name, filters := "open-edge", []string{envoyapi.CompressFilter}
	if confine {
		name, filters = "confining-edge", append(filters, envoyapi.ConfineFilter)
	}
	addr, admin := r.addr(), r.addr()
	servers := make([]server.Server, users)
	for i := range servers {
		ip, err := netip.ParseAddr(PodIP(i))
		if err != nil {
			return nil, fmt.Errorf("address of a pod: %w", err)
		}
		servers[i] = server.Server{
			ID: server.ID{User: User(i)}, Namespace: "users", Pod: PodName(i), Nonce: fmt.Sprintf("nonce-%022d", i), Addr: netip.AddrPortFrom(ip, UpstreamPort),
		}
	}
	boot, err := edge.Edge{Host: Host, Port: uint32(number(addr)), Admin: uint32(number(admin)), Servers: servers, Filters: filters, Open: true}.Bootstrap() //nolint:gosec // ports
	if err != nil {
		return nil, err
	}
	config, err := protojson.Marshal(boot)
	if err != nil {
		return nil, fmt.Errorf("encode the edge: %w", err)
	}
	return r.startEnvoy(name, string(config), addr, admin, 1, 3*time.Minute)
}

const plainConfig = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: %s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          http2_protocol_options: {allow_connect: true}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: pod, timeout: 0s, upgrade_configs: [{upgrade_type: websocket}]}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: pod
    connect_timeout: 2s
    circuit_breakers: {thresholds: [{max_connections: 100000, max_requests: 100000, max_pending_requests: 100000}]}
    load_assignment:
      cluster_name: pod
      endpoints:
      - lb_endpoints:
%s`
