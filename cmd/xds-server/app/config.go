package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/gateway/listener"
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Config is the whole configuration of the xds-server.
type Config struct {
	// PublicURL is where people reach the platform: http(s)://host[:port]. Envoy
	// answers requests for this host only.
	PublicURL string `yaml:"publicURL"`
	// ExtraHosts are further Host header values to answer, as written: 127.0.0.1:8000.
	ExtraHosts []string `yaml:"extraHosts"`
	// UserDomain gives each person's servers a host of their own below it:
	// users.example.org. Empty: all servers share the host of PublicURL.
	UserDomain string `yaml:"userDomain"`
	// Listen says where this service answers.
	Listen Listen `yaml:"listen"`
	// TLS is needed when Listen.XDS is TCP or Listen.Status is set: both admit only
	// certificates of this CA with the names below.
	TLS mtls.Files `yaml:"tls"`
	// Clients are the DNS names in certificates that may use each port.
	Clients Clients `yaml:"clients"`
	// Kubernetes says which pods to watch.
	Kubernetes Kubernetes `yaml:"kubernetes"`
	// Shard is the part of all people that Envoys of this xds-server serve, behind a front that
	// sends each request to its shard (envoy/front.yaml). Left out: everybody.
	Shard shard.Shard `yaml:"shard"`
	// Envoy is the listener to push.
	Envoy Envoy `yaml:"envoy"`
	// Upstreams are the platform's own services as Envoy reaches them: "unix:/path"
	// or "host:port" (then with mutual TLS).
	Upstreams Upstreams `yaml:"upstreams"`
	// ServerKeyFile holds the key (at least 32 bytes) that servers' secrets derive from.
	ServerKeyFile string `yaml:"serverKeyFile"`
	// ServersCAFile holds the certificate (PEM) of the CA that the spawner issues pods'
	// certificates from. Of several, each may have issued one.
	ServersCAFile string `yaml:"serversCAFile"`
}

// Listen holds addresses: "unix:/path" or "host:port".
type Listen struct {
	XDS     string `yaml:"xds"`
	Status  string `yaml:"status"`  // for the spawner; mutual TLS; empty = off
	Private string `yaml:"private"` // /healthz, /readyz, /metrics
}

// Clients lists certificate names.
type Clients struct {
	XDS    []string `yaml:"xds"`
	Status []string `yaml:"status"`
}

// Kubernetes says where pods are.
type Kubernetes struct {
	Kubeconfig string   `yaml:"kubeconfig"` // empty = the pod's service account
	Namespaces []string `yaml:"namespaces"`
}

// Envoy holds the choices about the public listener.
type Envoy struct {
	Address     string `yaml:"address"`
	Port        uint32 `yaml:"port"`
	TrustedHops uint32 `yaml:"trustedHops"` // proxies of ours in front of Envoy
	// CheckPasses lets Envoy judge passes by itself, with the keys that authz tells it;
	// on by default. Off means that authz is asked about every request (its passTTL is 0).
	CheckPasses bool `yaml:"checkPasses"`
	// TLS makes the listener speak TLS.
	TLS EdgeTLS `yaml:"tls"`
}

// EdgeTLS says where the public certificate is.
type EdgeTLS struct {
	// Namespace and Secret name a Secret of type kubernetes.io/tls. Without a Secret
	// the listener speaks plain text.
	Namespace string `yaml:"namespace"`
	Secret    string `yaml:"secret"`
	// RedirectPort is a plain-text port that redirects to https; 0 = none.
	RedirectPort uint32 `yaml:"redirectPort"`
}

func (e EdgeTLS) validate(port uint32, publicURL string, f *config.Faults) {
	if e.Secret == "" {
		f.Check(e.Namespace == "" && e.RedirectPort == 0, "envoy.tls", "says nothing without a secret")
		return
	}
	f.Check(e.Namespace != "", "envoy.tls.namespace", "is required with a secret")
	f.Check(e.RedirectPort < 65536 && e.RedirectPort != port, "envoy.tls.redirectPort", "must be a port other than envoy.port")
	// Cookies are marked Secure by this URL.
	f.Check(strings.HasPrefix(publicURL, "https://"), "publicURL", "must begin with https:// when envoy.tls.secret is set")
}

// Upstreams are addresses.
type Upstreams struct {
	Authz string `yaml:"authz"`
	Login string `yaml:"login"`
	Hub   string `yaml:"hub"`
	// Assets has the files of JupyterLab that servers share; empty = there is no such service.
	Assets string `yaml:"assets"`
}

// mostShards bounds a typing mistake.
const mostShards = 1000

// Defaults returns the configuration that a file is read over.
func Defaults() Config {
	return Config{
		Listen: Listen{XDS: "unix:/run/perijove/xds.sock", Private: ":9101"},
		Envoy:  Envoy{Address: "0.0.0.0", Port: 8000, CheckPasses: true},
	}
}

// Validate returns every fault at once, each with its key.
func (c Config) Validate() error {
	var f config.Faults
	if _, err := origin.Parse(c.PublicURL, nil); err != nil {
		f.Addf("publicURL", "%v", err)
	}
	for i, h := range c.ExtraHosts {
		// A wildcard would let any site's name reach the platform.
		if _, err := origin.Parse("http://placeholder", []string{h}); err != nil {
			f.Addf(fmt.Sprintf("extraHosts[%d]", i), "%v", err)
		}
	}
	if err := c.checkUserDomain(); err != nil {
		f.Addf("userDomain", "%v", err)
	}
	f.Required(map[string]string{
		"listen.xds": c.Listen.XDS, "listen.private": c.Listen.Private, "serverKeyFile": c.ServerKeyFile,
		"serversCAFile": c.ServersCAFile,
	})
	if !run.IsUnix(c.Listen.XDS) || c.Listen.Status != "" {
		c.TLS.Validate("tls", &f)
	}
	if !run.IsUnix(c.Listen.XDS) {
		f.Check(len(c.Clients.XDS) > 0, "clients.xds", "is required when listen.xds is a TCP address")
	}
	if c.Listen.Status != "" {
		f.Check(len(c.Clients.Status) > 0, "clients.status", "is required when listen.status is set")
	}
	f.Check(len(c.Kubernetes.Namespaces) > 0, "kubernetes.namespaces", "needs at least one namespace")
	f.Check(!slices.Contains(c.Kubernetes.Namespaces, ""), "kubernetes.namespaces", "has an empty name")
	f.Check(c.Shard.Of >= 0 && c.Shard.Of <= mostShards, "shard.of", fmt.Sprintf("must be between 0 and %d", mostShards))
	f.Check(c.Shard.Number >= 0 && c.Shard.Number < max(1, c.Shard.Of), "shard.number", "must be between 0 and shard.of - 1")
	f.Check(net.ParseIP(c.Envoy.Address) != nil, "envoy.address", "must be an IP address")
	f.Check(c.Envoy.Port > 0 && c.Envoy.Port < 65536, "envoy.port", "must be between 1 and 65535")
	c.Envoy.TLS.validate(c.Envoy.Port, c.PublicURL, &f)
	for key, address := range map[string]string{
		"upstreams.authz": c.Upstreams.Authz, "upstreams.hub": c.Upstreams.Hub, "upstreams.login": c.Upstreams.Login, "upstreams.assets": c.Upstreams.Assets,
	} {
		if address == "" && key == "upstreams.assets" {
			continue
		}
		if err := listener.CheckUpstream(address); err != nil {
			f.Addf(key, "%v", err)
		}
	}
	return f.Err()
}

// site is the installation as browsers see it.
func (c Config) site() (origin.Site, error) {
	site, err := origin.Parse(c.PublicURL, c.ExtraHosts)
	if err != nil {
		return origin.Site{}, err
	}
	return site.WithUserDomain(c.UserDomain)
}

// checkUserDomain says nothing about faults of the other keys.
func (c Config) checkUserDomain() error {
	site, err := origin.Parse(c.PublicURL, c.ExtraHosts)
	if err != nil {
		return nil
	}
	_, err = site.WithUserDomain(c.UserDomain)
	return err
}

// Main runs the service; see run.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return run.Main(ctx, "xds-server", args, stderr, Defaults(), Run)
}
