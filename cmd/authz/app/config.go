package app

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/web/origin"
)

// Config is the whole configuration of authz.
type Config struct {
	// PublicURL is where people reach the platform: http(s)://host[:port]. With https
	// all cookies are Secure.
	PublicURL string `yaml:"publicURL"`
	// ExtraHosts are further Host header values that Envoy answers: 127.0.0.1:8000.
	ExtraHosts []string `yaml:"extraHosts"`
	// UserDomain gives each person's servers a host of their own below it:
	// users.example.org. Empty: all servers share the host of PublicURL.
	UserDomain string `yaml:"userDomain"`
	// Listen says where Envoy reaches this service.
	Listen Listen `yaml:"listen"`
	// PrivateListen serves /healthz, /readyz and /metrics: host:port.
	PrivateListen string `yaml:"privateListen"`
	// TLS is needed when an address of Listen is TCP; only the gateway's certificate is let in, and at
	// Listen.Use only the spawner's.
	TLS mtls.Files `yaml:"tls"`
	// SessionKeyFiles each hold a secret of at least 32 random bytes; patterns such as
	// /keys/session*.key stand for all files that match. One seals sessions, all open them
	// (pkg/auth/keyring says which). The files may change while the service runs.
	SessionKeyFiles []string `yaml:"sessionKeyFiles"`
	// PassKeyFiles each hold a P-256 private key in PEM, named and used likewise.
	PassKeyFiles []string `yaml:"passKeyFiles"`
	// SessionLifetime is how long a login lasts, from 1m to 744h; 12h by default.
	SessionLifetime time.Duration `yaml:"sessionLifetime"`
	// SessionIdle is how long an unused session lives, from 5m; 2h by default. Opened pages,
	// requests that change something and input on open websockets are use. As
	// long as SessionLifetime means that only that counts.
	SessionIdle time.Duration `yaml:"sessionIdle"`
	// KeepLoggedIn offers a box on the login page: a user who ticks it is logged in still when
	// the browser was closed meanwhile, as long as the session lasts. Off by default.
	KeepLoggedIn bool `yaml:"keepLoggedIn"`
	// Recheck is how often the directory or provider is asked again about people who are
	// active, from 1m to 1h; 5m by default.
	Recheck time.Duration `yaml:"recheck"`
	// RevocationMode is what to do when the revocations or accounts here are older than a
	// minute: "best_effort" uses what is known (the default), "strict" refuses all users.
	RevocationMode string `yaml:"revocationMode"`
	// PassTTL is how long a user may go on after a revocation, because Envoy judges
	// passes by itself: from 2s to 10m, or 0 to ask here about every request (then the
	// xds-server's envoy.checkPasses is false). 60s by default.
	PassTTL time.Duration `yaml:"passTTL"`
	// Kubernetes says where ended sessions and people's accounts are kept.
	Kubernetes Kubernetes `yaml:"kubernetes"`
	// LDAP is the directory that knows people and passwords; may be left out when there
	// are providers.
	LDAP ldaplogin.Config `yaml:"ldap"`
	// OIDC are OpenID Connect providers, in the order of their buttons.
	OIDC []oidclogin.Config `yaml:"oidc"`
}

// Listen holds addresses: "unix:/path", or "host:port" with mutual TLS.
type Listen struct {
	GRPC string `yaml:"grpc"` // ext_authz
	HTTP string `yaml:"http"` // /hub/login, /hub/logout, /hub/static/
	// Use is where the spawner asks when servers were last used: "host:port", or empty.
	Use string `yaml:"use"`
}

// Kubernetes names the objects that authz reads and writes.
type Kubernetes struct {
	Kubeconfig       string `yaml:"kubeconfig"` // empty = the pod's service account
	Namespace        string `yaml:"namespace"`
	RevocationSecret string `yaml:"revocationSecret"`
	// AccountsNamespace is where each person's account is a Secret; empty means Namespace.
	// Release tells the accounts of several installations apart.
	AccountsNamespace string `yaml:"accountsNamespace"`
	Release           string `yaml:"release"`
}

const (
	strict     = "strict"
	bestEffort = "best_effort"
)

// Bounds are those of the durations, by key. The chart checks its values with the same.
func Bounds() map[string]config.Bounds {
	const month = 31 * 24 * time.Hour
	return map[string]config.Bounds{
		"sessionLifetime": {Min: time.Minute, Max: month},
		"sessionIdle":     {Min: 5 * time.Minute, Max: month},
		"recheck":         {Min: time.Minute, Max: time.Hour},
		"passTTL":         {Min: 2 * time.Second, Max: 10 * time.Minute}, // or 0
	}
}

// Defaults returns the configuration that a file is read over.
func Defaults() Config {
	return Config{
		Listen:          Listen{GRPC: "unix:/run/perijove/authz.sock", HTTP: "unix:/run/perijove/login.sock"},
		PrivateListen:   ":9102",
		SessionLifetime: 12 * time.Hour,
		SessionIdle:     2 * time.Hour,
		Recheck:         5 * time.Minute,
		RevocationMode:  bestEffort,
		PassTTL:         time.Minute,
		Kubernetes:      Kubernetes{RevocationSecret: "perijove-revocations", Release: "perijove"},
	}
}

// Validate returns every fault at once, each with its key.
func (c Config) Validate() error {
	var f config.Faults
	if _, err := origin.Parse(c.PublicURL, nil); err != nil {
		f.Addf("publicURL", "%v", err)
	} else if site, err := origin.Parse(c.PublicURL, c.ExtraHosts); err != nil {
		f.Addf("extraHosts", "%v", err)
	} else if _, err := site.WithUserDomain(c.UserDomain); err != nil {
		f.Addf("userDomain", "%v", err)
	}
	f.Required(map[string]string{"kubernetes.namespace": c.Kubernetes.Namespace, "kubernetes.revocationSecret": c.Kubernetes.RevocationSecret, "kubernetes.release": c.Kubernetes.Release})
	listen(&f, "listen.grpc", c.Listen.GRPC, true)
	listen(&f, "listen.http", c.Listen.HTTP, true)
	if c.Listen.Use != "" {
		listen(&f, "listen.use", c.Listen.Use, false)
	}
	listen(&f, "privateListen", c.PrivateListen, false)
	if c.needsTLS() {
		c.TLS.Validate("tls", &f)
	}
	bounds := Bounds()
	f.Within("sessionLifetime", c.SessionLifetime, bounds["sessionLifetime"])
	if c.SessionIdle != c.SessionLifetime {
		f.Within("sessionIdle", c.SessionIdle, bounds["sessionIdle"])
	}
	f.Check(c.SessionIdle <= c.SessionLifetime, "sessionIdle", "must not be longer than sessionLifetime")
	f.Within("recheck", c.Recheck, bounds["recheck"])
	if c.PassTTL != 0 {
		f.Within("passTTL", c.PassTTL, bounds["passTTL"])
	}
	f.Check(c.RevocationMode == strict || c.RevocationMode == bestEffort, "revocationMode", "must be strict or best_effort")
	if len(c.SessionKeyFiles) == 0 {
		f.Addf("sessionKeyFiles", "needs at least one file with %d random bytes", session.MinSecret)
	} else if _, err := c.sessionRing(); err != nil {
		f.Addf("sessionKeyFiles", "%v", err)
	}
	if len(c.PassKeyFiles) == 0 {
		f.Addf("passKeyFiles", "needs at least one file with a P-256 private key (openssl ecparam -genkey -name prime256v1 -noout)")
	} else if _, err := c.passRing(); err != nil {
		f.Addf("passKeyFiles", "%v", err)
	}
	if c.hasLDAP() {
		c.LDAP.Validate("ldap", &f)
	}
	oidclogin.ValidateAll(c.OIDC, "oidc", &f)
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

func (c Config) needsTLS() bool {
	return !run.IsUnix(c.Listen.GRPC) || !run.IsUnix(c.Listen.HTTP) || c.Listen.Use != ""
}

func listen(f *config.Faults, key, addr string, unixToo bool) {
	if unixToo && run.IsUnix(addr) {
		f.Check(len(addr) > len("unix:/"), key, "must be unix:/path")
		return
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		f.Addf(key, "must be host:port%s", map[bool]string{true: " or unix:/path"}[unixToo])
	}
}

// Main runs the service; see run.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return run.Main(ctx, "authz", args, stderr, Defaults(), Run)
}
