package app

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/perijove/perijove/pkg/config"
	"github.com/perijove/perijove/pkg/login/ldaplogin"
	"github.com/perijove/perijove/pkg/login/oidclogin"
	"github.com/perijove/perijove/pkg/mtls"
	"github.com/perijove/perijove/pkg/origin"
	"github.com/perijove/perijove/pkg/pass"
	"github.com/perijove/perijove/pkg/serve"
	"github.com/perijove/perijove/pkg/service"
	"github.com/perijove/perijove/pkg/session"
)

// Config is the whole configuration of authz.
type Config struct {
	// PublicURL is where people reach the platform: http(s)://host[:port]. With https
	// all cookies are Secure.
	PublicURL string `yaml:"publicURL"`
	// ExtraHosts are further Host header values that Envoy answers: 127.0.0.1:8000.
	ExtraHosts []string `yaml:"extraHosts"`
	// Listen says where Envoy reaches this service.
	Listen Listen `yaml:"listen"`
	// PrivateListen serves /healthz, /readyz and /metrics: host:port.
	PrivateListen string `yaml:"privateListen"`
	// TLS is needed when an address of Listen is TCP; only the gateway's certificate
	// is let in.
	TLS mtls.Files `yaml:"tls"`
	// SessionKeyFiles each hold a secret of at least 32 random bytes. The first seals
	// sessions, all open them: rotate by appending everywhere, then moving to the front.
	SessionKeyFiles []string `yaml:"sessionKeyFiles"`
	// PassKeyFiles each hold a P-256 private key in PEM. The first signs, all verify.
	PassKeyFiles []string `yaml:"passKeyFiles"`
	// SessionLifetime is how long a login lasts, from 1m to 744h; 12h by default.
	SessionLifetime time.Duration `yaml:"sessionLifetime"`
	// PassTTL is how long somebody may go on after a revocation, because Envoy judges
	// passes by itself: from 2s to 10m, or 0 to ask here about every request (then the
	// xds-server's envoy.checkPasses is false). 60s by default.
	PassTTL time.Duration `yaml:"passTTL"`
	// Kubernetes says where ended sessions are kept.
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
}

// Kubernetes names the one object that authz reads and writes.
type Kubernetes struct {
	Kubeconfig       string `yaml:"kubeconfig"` // empty = the pod's service account
	Namespace        string `yaml:"namespace"`
	RevocationSecret string `yaml:"revocationSecret"`
}

const maxSessionLifetime = 31 * 24 * time.Hour

// Defaults returns the configuration that a file is read over.
func Defaults() Config {
	return Config{
		Listen:          Listen{GRPC: "unix:/run/perijove/authz.sock", HTTP: "unix:/run/perijove/login.sock"},
		PrivateListen:   ":9102",
		SessionLifetime: 12 * time.Hour,
		PassTTL:         time.Minute,
		Kubernetes:      Kubernetes{RevocationSecret: "perijove-revocations"},
	}
}

// Validate returns every fault at once, each with its key.
func (c Config) Validate() error {
	var f config.Faults
	if _, err := origin.Parse(c.PublicURL, nil); err != nil {
		f.Addf("publicURL", "%v", err)
	} else if _, err := origin.Parse(c.PublicURL, c.ExtraHosts); err != nil {
		f.Addf("extraHosts", "%v", err)
	}
	f.Required(map[string]string{"kubernetes.namespace": c.Kubernetes.Namespace, "kubernetes.revocationSecret": c.Kubernetes.RevocationSecret})
	listen(&f, "listen.grpc", c.Listen.GRPC, true)
	listen(&f, "listen.http", c.Listen.HTTP, true)
	listen(&f, "privateListen", c.PrivateListen, false)
	if c.needsTLS() {
		c.TLS.Validate("tls", &f)
	}
	f.Check(c.SessionLifetime >= time.Minute && c.SessionLifetime <= maxSessionLifetime, "sessionLifetime", "must be between 1m and 744h")
	f.Check(c.PassTTL == 0 || (c.PassTTL >= 2*time.Second && c.PassTTL <= 10*time.Minute), "passTTL", "must be 0 or between 2s and 10m")
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

func (c Config) needsTLS() bool { return !serve.IsUnix(c.Listen.GRPC) || !serve.IsUnix(c.Listen.HTTP) }

func listen(f *config.Faults, key, addr string, unixToo bool) {
	if unixToo && serve.IsUnix(addr) {
		f.Check(len(addr) > len("unix:/"), key, "must be unix:/path")
		return
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		f.Addf(key, "must be host:port%s", map[bool]string{true: " or unix:/path"}[unixToo])
	}
}

func (c Config) sessionRing() (*session.Ring, error) {
	var secrets [][]byte
	var all []error
	for _, path := range c.SessionKeyFiles {
		secret, err := config.SecretFile(path, session.MinSecret)
		secrets, all = append(secrets, secret), append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	return session.NewRing(secrets...)
}

func (c Config) passRing() (*pass.Ring, error) {
	var pems [][]byte
	var all []error
	for _, path := range c.PassKeyFiles {
		pem, err := os.ReadFile(path)
		pems, all = append(pems, pem), append(all, err)
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	return pass.NewRing(pems...)
}

// Main runs the service; see service.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return service.Main(ctx, "authz", args, stderr, Defaults(), Run)
}
