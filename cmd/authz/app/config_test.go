package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/pki"
)

// unreachable is a Kubernetes API that nobody reaches.
func unreachable(t *testing.T) kubernetes.Interface {
	t.Helper()
	client := fake.NewClientset()
	client.PrependReactor("*", "*", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no route to host")
	})
	return client
}

func runMain(t *testing.T, yaml string) (int, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authz.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a configuration that passes must not start serving
	return Main(ctx, []string{"-config", path}, &out), out.String()
}

func TestEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	code, out := runMain(t, `
publicURL: ftp://hub.test
listen: {grpc: ":x:y", http: "unix:"}
privateListen: "9102"
sessionKeyFiles: [/nowhere/session]
passKeyFiles: []
sessionLifetime: 1s
passTTL: 1h
kubernetes: {namespace: "", revocationSecret: ""}
ldap: {urls: ["ldap://ldap.test"]}
`)
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	for _, key := range []string{
		"publicURL", "listen.grpc", "listen.http", "privateListen", "tls.cert", "tls.key", "tls.ca", "sessionKeyFiles", "passKeyFiles", "sessionLifetime",
		"passTTL", "kubernetes.namespace", "kubernetes.revocationSecret", "ldap.urls[0]", "ldap.bindDN", "ldap.bindPasswordFile", "ldap.allowedGroups",
	} {
		if !strings.Contains(out, "\n  "+key+": ") {
			t.Errorf("%s is not reported in\n%s", key, out)
		}
	}
}

func TestUserDomain(t *testing.T) {
	t.Parallel()
	for domain, bad := range map[string]bool{"users.test": false, "*.x.test": true, "test": true} {
		_, out := runMain(t, "publicURL: https://hub.test\nuserDomain: '"+domain+"'\n")
		if strings.Contains(out, "userDomain: ") != bad {
			t.Errorf("%s:\n%s", domain, out)
		}
	}
	if _, out := runMain(t, "publicURL: https://hub.users.test\nuserDomain: users.test\n"); !strings.Contains(out, "userDomain: ") {
		t.Errorf("a person could have the hub's host:\n%s", out)
	}
}

func TestUnknownKeysAndMissingFile(t *testing.T) {
	t.Parallel()
	if _, out := runMain(t, "publicURL: https://hub.test\nextraHosts: ['*']\n"); !strings.Contains(out, "extraHosts: ") {
		t.Error(out)
	}
	if code, out := runMain(t, "publicUrl: x\nldap: {alowedGroups: [a]}\n"); code != 2 || !strings.Contains(out, "publicUrl") || !strings.Contains(out, "alowedGroups") {
		t.Errorf("%d %s", code, out)
	}
	var out bytes.Buffer
	if code := Main(context.Background(), []string{"-config", "/nowhere.yaml"}, &out); code != 2 || !strings.Contains(out.String(), "/nowhere.yaml") {
		t.Errorf("%d %s", code, out.String())
	}
	if code := Main(context.Background(), []string{"-nonsense"}, &out); code != 2 {
		t.Errorf("%d", code)
	}
}

func TestKeyFaultsDoNotShowTheKey(t *testing.T) {
	t.Parallel()
	sessionKey, passKey := keys.Files(t)
	cfg := Defaults()
	cfg.SessionKeyFiles, cfg.PassKeyFiles = []string{passKey, sessionKey, sessionKey}, []string{sessionKey}
	secret, err := os.ReadFile(sessionKey)
	if err != nil {
		t.Fatal(err)
	}
	text := cfg.Validate().Error()
	if !strings.Contains(text, "sessionKeyFiles: session key 3 repeats") || !strings.Contains(text, "passKeyFiles: pass key 1: is not PEM") || strings.Contains(text, string(secret)) {
		t.Error(text)
	}
}

func TestRunFailsOnTakenPort(t *testing.T) {
	t.Parallel()
	sessionKey, passKey := keys.Files(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	cfg := Defaults()
	cfg.PublicURL, cfg.PrivateListen, cfg.SessionKeyFiles, cfg.PassKeyFiles = "https://hub.test", l.Addr().String(), []string{sessionKey}, []string{passKey}
	if err := RunWith(context.Background(), cfg, fake.NewClientset(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "private port") {
		t.Errorf("%v", err)
	}
}

// TestX1_TCPNeedsTheGatewaysCertificate: whoever could reach these ports without it
// could ask as anyone and set passwords on trial.
func TestX1_TCPNeedsTheGatewaysCertificate(t *testing.T) {
	t.Parallel()
	ca := pki.New(t)
	files := ca.Issue(contract.NameGateway, time.Hour)
	roots := ca.Pool()
	foreign := pki.New(t).Issue(contract.NameGateway, time.Hour)
	for name, c := range map[string]struct {
		caller mtls.Files // empty for none
		ok     bool
	}{
		"gateway": {ca.Issue(contract.NameGateway, time.Hour), true}, "spawner": {ca.Issue(contract.NameSpawner, time.Hour), false},
		"none": {mtls.Files{}, false}, "another CA": {foreign, false},
	} {
		l, conf, err := listenFor(Config{TLS: files, LDAP: ldaplogin.Config{}}, "127.0.0.1:0", contract.NameGateway)
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() {
			conn, err := l.Accept()
			if err == nil {
				secure := tls.Server(conn, conf)
				err = secure.Handshake()
				_ = secure.Close()
			}
			accepted <- err
		}()
		client := &tls.Config{RootCAs: roots, ServerName: contract.NameGateway, MinVersion: tls.VersionTLS13}
		if c.caller != (mtls.Files{}) {
			pair, err := tls.LoadX509KeyPair(c.caller.Cert, c.caller.Key)
			if err != nil {
				t.Fatal(err)
			}
			client.Certificates = []tls.Certificate{pair}
		}
		if conn, err := tls.Dial("tcp", l.Addr().String(), client); err == nil {
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err := <-accepted; (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		_ = l.Close()
	}
}
