package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `
publicURL: https://hub.example
listen: {xds: "unix:/tmp/xds.sock", private: ":9101"}
kubernetes: {namespaces: [perijove]}
upstreams: {authz: "unix:/a", login: "unix:/l", hub: "hub:8081"}
serverKeyFile: /etc/perijove/server.key
serversCAFile: /etc/perijove/servers-ca.crt
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "xds-server.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, text string) (code int, stderr string) {
	t.Helper()
	var out bytes.Buffer
	code = Main(t.Context(), []string{"-config", write(t, text)}, &out)
	return code, out.String()
}

func TestEveryFaultIsListedAndTheExitCodeIs2(t *testing.T) {
	code, stderr := start(t, `
publicURL: hub.example
extraHosts: ["*", "a/b"]
listen: {xds: ":18000", status: ":18001", private: ""}
kubernetes: {namespaces: []}
shard: {number: 2, of: 2}
envoy: {address: everywhere, port: 70000, tls: {secret: s, redirectPort: 70000}}
upstreams: {authz: "", login: "unix:l", hub: hub}
`)
	if code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, key := range []string{
		"publicURL", "extraHosts[0]", "extraHosts[1]", "listen.private", "serverKeyFile", "serversCAFile", "tls.cert", "tls.key", "tls.ca",
		"clients.xds", "clients.status", "kubernetes.namespaces", "shard.number", "envoy.address", "envoy.port",
		"envoy.tls.namespace", "envoy.tls.redirectPort",
		"upstreams.authz", "upstreams.login", "upstreams.hub",
	} {
		if !strings.Contains(stderr, key+": ") {
			t.Errorf("%s is not named:\n%s", key, stderr)
		}
	}
}

func TestUserDomain(t *testing.T) {
	for domain, bad := range map[string]bool{"users.example.org": false, "*.x.test": true, "X.test": true} {
		_, stderr := start(t, good+"\nuserDomain: '"+domain+"'\n")
		if strings.Contains(stderr, "userDomain: ") != bad {
			t.Errorf("%s:\n%s", domain, stderr)
		}
	}
}

func TestMisspeltKeysAreFaults(t *testing.T) {
	code, stderr := start(t, strings.Replace(good, "serverKeyFile", "serverKeyfile", 1))
	if code != 2 || !strings.Contains(stderr, "serverKeyfile") {
		t.Errorf("%d: %s", code, stderr)
	}
}

func TestGoodConfigurationPassesValidation(t *testing.T) {
	code, stderr := start(t, good) // then fails for want of a cluster, which is no configuration fault
	if code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, stderr)
	}
}

func TestTLSNeedsAnHTTPSAddress(t *testing.T) {
	tls := good + "envoy: {tls: {namespace: perijove, secret: edge}}\n"
	if code, stderr := start(t, tls); code != 1 {
		t.Errorf("exit code %d, want 1:\n%s", code, stderr)
	}
	code, stderr := start(t, strings.Replace(tls, "https://", "http://", 1))
	if code != 2 || !strings.Contains(stderr, "publicURL: ") {
		t.Errorf("cookies would not be Secure: %d\n%s", code, stderr)
	}
	if code, stderr := start(t, good+"envoy: {tls: {redirectPort: 8080}}\n"); code != 2 || !strings.Contains(stderr, "envoy.tls: ") {
		t.Errorf("a redirect to a port that speaks no TLS: %d\n%s", code, stderr)
	}
}
