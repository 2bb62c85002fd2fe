package app

import (
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Config is the spawner's configuration file.
type Config struct {
	// Listen is where the gateway reaches the pages and the REST paths: "host:port".
	// Only a client certificate with the gateway's name gets in.
	Listen string `yaml:"listen"`
	// PrivateListen serves /healthz, /readyz and /metrics: "host:port".
	PrivateListen string `yaml:"privateListen"`
	// TLS is the spawner's certificate, for Listen and towards the xds-servers.
	TLS mtls.Files `yaml:"tls"`
	// Kubeconfig is a file to reach the cluster with; "" inside the cluster.
	Kubeconfig string `yaml:"kubeconfig"`
	// PublicURL is where users reach the platform: http(s)://host[:port]. Servers are told.
	PublicURL string `yaml:"publicURL"`
	// UserDomain gives each user's servers a host of their own below it. Empty: all share one host.
	UserDomain string `yaml:"userDomain"`
	// Namespace is where servers live.
	Namespace string `yaml:"namespace"`
	// PublishedNamespaces are those whose labelled pods the xds-server publishes: home pages list
	// them.
	PublishedNamespaces []string `yaml:"publishedNamespaces"`
	// ServerKeyFile holds the installation's server key, at least 32 bytes; the
	// xds-server has the same.
	ServerKeyFile string `yaml:"serverKeyFile"`
	// ServersCA signs the certificates by which servers prove to Envoy which pod they are; the
	// xds-server has its certificate.
	ServersCA KeyPair `yaml:"serversCA"`
	// Proof says that new servers prove which pod they are. Running servers stay as they are.
	Proof bool `yaml:"proof"`
	// LateHomes says that a driver gives homes to pods that wait in pools.
	LateHomes bool `yaml:"lateHomes"`
	// JupyterConfigMap is the ConfigMap in Namespace with jupyter_server_config.py.
	JupyterConfigMap string `yaml:"jupyterConfigMap"`
	// JupyterRevision names the version of the files in it: pods that wait in pools with another one are replaced.
	JupyterRevision string `yaml:"jupyterRevision"`
	// RouteStatus lists the xds-servers' status ports as "host:port"; a host name
	// stands for all its addresses, so one headless Service is enough.
	RouteStatus []string `yaml:"routeStatus"`
	// Use are host:ports behind which every authz says when users last did something at servers. Without
	// them programs other than Jupyter are not stopped for being idle.
	Use []string `yaml:"use"`
	// StartTimeout is how long a server may take until it answers; 5m by default.
	StartTimeout time.Duration `yaml:"startTimeout"`
	// ConcurrentSpawnLimit is how many servers may be starting at the same time, over
	// all replicas; 64 by default.
	ConcurrentSpawnLimit int `yaml:"concurrentSpawnLimit"`
	// CullDryRun only logs which idle servers would be stopped.
	CullDryRun bool `yaml:"cullDryRun"`
	// FreeSpaceAccount is the service account in Namespace whose token may get nodes/stats: nodes
	// are asked with it how full homes are. "" asks none.
	FreeSpaceAccount string `yaml:"freeSpaceAccount"`
	// ProfilesConfigMap is the ConfigMap in Namespace with the list of profiles, under the key
	// profiles.yaml; spawn.Document, spawn.Profile and spawn.Override say what each key of it
	// means. It is followed while the spawner runs.
	ProfilesConfigMap string `yaml:"profilesConfigMap"`
	// Assets is where the assets service answers: "host:port". "" where there is none.
	Assets string `yaml:"assets"`
	// Scheduling is what servers' pods say to the scheduler.
	Scheduling spawn.Scheduling `yaml:"scheduling"`
}

// KeyPair are PEM paths.
type KeyPair struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// minServerKey is the least length of the server key in bytes: as long as the hash.
const minServerKey = 32

// Bounds are those of the durations, by key. The chart checks its values with the same.
func Bounds() map[string]config.Bounds {
	return map[string]config.Bounds{"startTimeout": {Min: time.Second}}
}

// Defaults returns the configuration that a file's keys are laid over.
func Defaults() Config {
	return Config{StartTimeout: 5 * time.Minute, ConcurrentSpawnLimit: 64}
}

// Validate returns one error that names every fault with its key, or nil.
func (c Config) Validate() error {
	var f config.Faults
	f.Required(map[string]string{
		"namespace":        c.Namespace,
		"serverKeyFile":    c.ServerKeyFile,
		"jupyterConfigMap": c.JupyterConfigMap, "profilesConfigMap": c.ProfilesConfigMap,
		"serversCA.cert": c.ServersCA.Cert,
		"serversCA.key":  c.ServersCA.Key,
	})
	for _, found := range validation.IsDNS1123Label(c.Namespace) {
		f.Check(c.Namespace == "", "namespace", found)
	}
	for i, name := range c.PublishedNamespaces {
		for _, found := range validation.IsDNS1123Label(name) {
			f.Addf(fmt.Sprintf("publishedNamespaces[%d]", i), "%s", found)
		}
	}
	for key, name := range map[string]string{"jupyterConfigMap": c.JupyterConfigMap, "profilesConfigMap": c.ProfilesConfigMap, "freeSpaceAccount": c.FreeSpaceAccount,
		"scheduling.scheduler": c.Scheduling.Scheduler, "scheduling.priorityClass": c.Scheduling.PriorityClass} {
		for _, found := range validation.IsDNS1123Subdomain(name) {
			f.Check(name == "", key, found)
		}
	}
	if site, err := origin.Parse(c.PublicURL, nil); err != nil {
		f.Addf("publicURL", "%v", err)
	} else if _, err := site.WithUserDomain(c.UserDomain); err != nil {
		f.Addf("userDomain", "%v (with publicURL %q)", err, c.PublicURL)
	}
	address(&f, "listen", c.Listen)
	address(&f, "privateListen", c.PrivateListen)
	c.TLS.Validate("tls", &f)
	f.Check(len(c.RouteStatus) > 0, "routeStatus", "needs at least one host:port of an xds-server")
	for i, target := range c.RouteStatus {
		address(&f, fmt.Sprintf("routeStatus[%d]", i), target)
	}
	for i, target := range c.Use {
		address(&f, fmt.Sprintf("use[%d]", i), target)
	}
	if c.Assets != "" {
		address(&f, "assets", c.Assets)
	}
	f.Within("startTimeout", c.StartTimeout, Bounds()["startTimeout"])
	f.Check(c.Scheduling.Neighbours.IsKnown(), "scheduling.neighbours", "must be apart, together or nothing")
	f.Check(c.ConcurrentSpawnLimit >= 1, "concurrentSpawnLimit", "must be at least 1")
	if c.ServerKeyFile != "" {
		if _, err := config.SecretFile(c.ServerKeyFile, minServerKey); err != nil {
			f.Addf("serverKeyFile", "%v", err)
		}
	}
	if c.ServersCA.Cert != "" && c.ServersCA.Key != "" {
		if _, err := c.ServersCA.load(); err != nil {
			f.Addf("serversCA", "%v", err)
		}
	}
	return f.Err()
}

// site is the installation as browsers see it.
func (c Config) site() (origin.Site, error) {
	site, err := origin.Parse(c.PublicURL, nil)
	if err != nil {
		return origin.Site{}, err
	}
	return site.WithUserDomain(c.UserDomain)
}

// servers is what all servers share.
func (c Config) servers(public origin.Site, assets func(image string) string) spawn.Site {
	return spawn.Site{
		Namespace: c.Namespace, JupyterConfigMap: c.JupyterConfigMap, Revision: c.JupyterRevision, Public: public, Proof: c.Proof, LateHomes: c.LateHomes, Scheduling: c.Scheduling, Assets: assets,
	}
}

func address(f *config.Faults, key, value string) {
	if value == "" {
		f.Addf(key, "is required")
		return
	}
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		f.Addf(key, "%q is not host:port", value)
	}
}
