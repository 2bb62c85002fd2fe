package dataplane

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	authzapp "github.com/perijove/perijove/cmd/authz/app"
	spawnerapp "github.com/perijove/perijove/cmd/spawner/app"
	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/test/slapd"
)

// startAuthz runs authz against a real OpenLDAP; stopAuthz stops it.
func (s *env) startAuthz() {
	if s.ldap == nil {
		s.ldap = slapd.Start(s.t)
		writeFile(s.t, s.path("session.key"), bytes.Repeat([]byte("s"), 32))
		writeFile(s.t, s.path("pass.pem"), passKey(s.t))
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "perijove-revocations"}}
		if _, err := s.client.CoreV1().Secrets(namespace).Create(context.Background(), secret, metav1.CreateOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
	cfg := authzapp.Defaults()
	cfg.PublicURL, cfg.UserDomain = s.base(), s.userDomain
	cfg.Listen = authzapp.Listen{GRPC: "unix:" + s.path("authz.sock"), HTTP: "unix:" + s.path("login.sock")}
	cfg.PrivateListen = "127.0.0.1:9102"
	cfg.SessionKeyFiles = []string{s.path("session.key")}
	cfg.PassKeyFiles = []string{s.path("pass.pem")}
	cfg.Kubernetes.Namespace = namespace
	cfg.LDAP = ldaplogin.Config{
		URLs: []string{s.ldap.LDAPS}, CAFile: s.ldap.CAFile, BindDN: slapd.BindDN, BindPasswordFile: s.ldap.PasswordFile,
		UserSearch:        ldaplogin.Search{Base: "ou=people," + slapd.Base, Filter: "(uid={username})"},
		UsernameAttribute: "uid", DisplayNameAttribute: "cn",
		GroupSearch:        ldaplogin.GroupSearch{Base: "ou=groups," + slapd.Base, Filter: "(member={dn})"},
		GroupNameAttribute: "cn", AllowedGroups: []string{"*"}, AdminGroups: []string{"admins"},
	}
	if s.adjustAuthz != nil {
		s.adjustAuthz(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	if s.sessionIdle != 0 {
		cfg.SessionIdle = s.sessionIdle
	}
	s.stopAuthz = s.run("authz", func(ctx context.Context, log *slog.Logger) error {
		return authzapp.RunWith(ctx, cfg, s.client, log)
	})
}

func passKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// startSpawner runs the spawner; stopSpawner stops it.
func (s *env) startSpawner() {
	cfg := spawnerapp.Defaults()
	cfg.Listen, cfg.PrivateListen = "127.0.0.1:8081", "127.0.0.1:9103"
	cfg.TLS = s.spawn
	cfg.PublicURL, cfg.UserDomain = s.base(), s.userDomain
	cfg.Namespace = namespace
	cfg.ServerKeyFile = s.path("server.key")
	cfg.Proof = s.proofs
	cfg.ServersCA = spawnerapp.KeyPair{Cert: s.path("servers-ca.crt"), Key: s.path("servers-ca.key")}
	cfg.JupyterConfigMap = "perijove-jupyter"
	cfg.RouteStatus = []string{"127.0.0.1:18001"}
	cfg.StartTimeout = time.Minute
	cfg.ProfilesConfigMap = "perijove-profiles"
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	s.stopSpawner = s.run("spawner", func(ctx context.Context, log *slog.Logger) error {
		return spawnerapp.RunWith(ctx, cfg, s.client, log)
	})
}
