package rig

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/server/access"
)

// Host is what the platform answers to.
const Host = "hub.test"

const revocations = "perijove-revocations"

// PassTTL is the longest that a configuration may say: the load generator renews
// nothing, so its passes must outlive a round.
const PassTTL = 10 * time.Minute

// Service is a process of ours with its debug port.
type Service struct {
	*Proc
	Debug string // host:port
}

// options is a part of a configuration file.
type options map[string]any

func (r *Rig) service(role, name string, config options, private string) (*Service, error) {
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	file := r.Path(name + ".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", name, err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	s := &Service{Debug: r.addr()}
	s.Proc, err = r.start(name, []string{envRole + "=" + role, envDebug + "=" + s.Debug}, self, "-config", file)
	if err != nil {
		return nil, err
	}
	return s, s.wait("it is ready", 3*time.Minute, func() bool { return answers(http.DefaultClient, "http://"+private+"/readyz") })
}

// mode names the files of a gateway whose Envoy judges passes, or asks each time.
func mode(passes bool) string {
	if passes {
		return "pass"
	}
	return "each"
}

// Authz starts the authz of all gateways that let Envoy judge passes, or of those that
// do not. No user logs in there.
func (r *Rig) Authz(k *Kube, namespace string, passes bool) (*Service, error) {
	return r.authz(k, namespace, passes, "ldaps://127.0.0.1")
}

// AuthzWithLogins starts the authz of the gateways that let Envoy judge passes, for users of a
// directory.
func (r *Rig) AuthzWithLogins(k *Kube, namespace string, d *Directory) (*Service, error) {
	return r.authz(k, namespace, true, d.url)
}

func (r *Rig) authz(k *Kube, namespace string, passes bool, directory string) (*Service, error) {
	private, ttl := r.addr(), PassTTL
	if !passes {
		ttl = 0
	}
	return r.service("authz", "authz-"+mode(passes), options{
		"publicURL": "http://" + Host, "privateListen": private,
		"listen":          options{"grpc": r.sock("authz", passes), "http": r.sock("login", passes)},
		"sessionKeyFiles": []string{r.Path(fileSessionKey)}, "passKeyFiles": []string{r.Path(filePassKey)},
		"passTTL":    ttl.String(),
		"kubernetes": options{"kubeconfig": k.Kubeconfig, "namespace": namespace, "revocationSecret": revocations},
		"ldap":       r.ldapOptions(directory),
	}, private)
}

func (r *Rig) sock(service string, passes bool) string {
	return "unix:" + r.Path(service+"-"+mode(passes)+".sock")
}

// Gateway is an xds-server and the Envoy that it configures.
type Gateway struct {
	XDS   *Service
	Envoy *Envoy
	Tap   *Wiretap

	passes                               bool
	name, namespace, private, sock, addr string

	shard   shard.Shard
	hub     string // where Envoy finds the spawners
	status  string // where spawners ask the xds-server about routes; "" for nowhere
	workers int    // of Envoy
}

// Gateway starts both for the pods of one namespace. With passes Envoy judges them by
// itself; else it asks authz each time.
func (r *Rig) Gateway(k *Kube, namespace string, passes bool) (*Gateway, error) {
	g := &Gateway{passes: passes, name: namespace + "-" + mode(passes), namespace: namespace, private: r.addr(), addr: r.addr(), hub: "unix:" + r.Path("hub.sock"), workers: 1}
	return g, r.startGateway(k, g)
}

// GatewayWithHub starts a gateway whose Envoy has the chart's two workers and leads to spawners.
func (r *Rig) GatewayWithHub(k *Kube, namespace string, h *Hub) (*Gateway, error) {
	const workers = 2
	g := &Gateway{passes: true, name: namespace + "-hub", namespace: namespace, private: r.addr(), addr: r.addr(), hub: h.Addr, status: r.addr(), workers: workers}
	return g, r.startGateway(k, g)
}

// Shard starts a gateway that has a part of the people of one namespace, behind a front.
func (r *Rig) Shard(k *Kube, namespace string, part shard.Shard) (*Gateway, error) {
	g := r.shard(namespace, part)
	return g, r.startGateway(k, g)
}

// WholeXDS starts an xds-server for all people of a namespace, and no Envoy.
func (r *Rig) WholeXDS(k *Kube, namespace string) (*Gateway, error) {
	g := r.shard(namespace, shard.Shard{})
	g.sock = r.Path(g.name + ".sock")
	return g, r.StartXDS(k, g)
}

func (r *Rig) shard(namespace string, part shard.Shard) *Gateway {
	return &Gateway{
		passes: true, name: fmt.Sprintf("shard-%d", part.Number), namespace: namespace, private: r.addr(), addr: r.addr(),
		shard: part, hub: "unix:" + r.Path("hub.sock"), workers: 1,
	}
}

func (r *Rig) startGateway(k *Kube, g *Gateway) error {
	g.sock = r.Path(g.name + ".sock")
	if err := r.StartXDS(k, g); err != nil {
		return err
	}
	var err error
	if g.Tap, err = r.Tap(g.sock); err != nil {
		return err
	}
	return r.StartGatewayEnvoy(g)
}

// StartXDS starts g's xds-server, again if it was killed, and waits until it is ready.
func (r *Rig) StartXDS(k *Kube, g *Gateway) (err error) {
	envoy := options{"address": "127.0.0.1", "port": number(g.addr)}
	if !g.passes {
		envoy["checkPasses"] = false
	}
	if g.shard.Of > 0 {
		envoy["trustedHops"] = 1
	}
	g.XDS, err = r.service("xds-server", "xds-"+g.name, options{
		"publicURL": "http://" + Host,
		"listen":    options{"xds": "unix:" + g.sock, "private": g.private, "status": g.status},
		"tls":       r.tlsOptions(dirTLS), "clients": options{"status": []string{contract.NameSpawner}},
		"kubernetes":    options{"kubeconfig": k.Kubeconfig, "namespaces": []string{g.namespace}},
		"shard":         g.shard,
		"envoy":         envoy,
		"upstreams":     options{"authz": r.sock("authz", g.passes), "login": r.sock("login", g.passes), "hub": g.hub},
		"serverKeyFile": r.Path(fileServerKey), "serversCAFile": r.Path(dirServers + "/ca.crt"),
	}, g.private)
	return err
}

// StartGatewayEnvoy starts g's Envoy, again if it was killed, and waits until it has
// every route.
func (r *Rig) StartGatewayEnvoy(g *Gateway) (err error) {
	g.Envoy, err = r.ourEnvoy("envoy-"+g.name, g.Tap.Sock, g.addr, g.workers)
	return err
}

// Stop ends both.
func (g *Gateway) Stop() {
	g.Envoy.Kill()
	g.XDS.Kill()
}

// Passes returns the Cookie header of each of n users, as a browser sends it to its own
// server; first is the first of them.
func (r *Rig) Passes(first, n int) ([]string, error) {
	key, err := os.ReadFile(r.Path(filePassKey))
	if err != nil {
		return nil, fmt.Errorf("the pass key: %w", err)
	}
	ring, err := pass.NewRing(key)
	if err != nil {
		return nil, err
	}
	now, all := time.Now(), make([]string, n)
	for i := range all {
		name := User(first + i)
		token, err := ring.Sign(pass.New(session.New(access.User{Name: name, DisplayName: name}, "ldap", now, time.Hour), name, now, PassTTL))
		if err != nil {
			return nil, err
		}
		all[i] = contract.CookiePass + "=" + token
	}
	return all, nil
}
