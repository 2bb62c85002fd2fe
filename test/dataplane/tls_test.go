package dataplane

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

const (
	edgeSecret   = "edge-tls"
	redirectAddr = "127.0.0.1:8080"
)

// newTLSEnv is an env whose Envoy speaks TLS with a certificate for hub.test.
func newTLSEnv(t *testing.T) *env { return newTLSEnvWith(t, func(*env) {}) }

func newTLSEnvWith(t *testing.T, change func(*env)) *env {
	t.Helper()
	return newEnvWith(t, func(s *env) {
		change(s)
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(readFile(t, s.gate.CA)) {
			t.Fatal("the test's CA cannot be read")
		}
		s.trust = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		s.adjust = func(cfg *xdsapp.Config) {
			cfg.Envoy.TLS = xdsapp.EdgeTLS{Namespace: namespace, Secret: edgeSecret, RedirectPort: 8080}
		}
		if _, err := s.client.CoreV1().Secrets(namespace).Create(t.Context(), s.newEdgeSecret(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

// newEdgeSecret holds a new certificate.
func (s *env) newEdgeSecret() *corev1.Secret {
	files := s.ca.Issue("hub.test", time.Hour, "*.hub.test")
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: edgeSecret, UID: "edge"},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: readFile(s.t, files.Cert), corev1.TLSPrivateKeyKey: readFile(s.t, files.Key)},
	}
}

func (s *env) putEdgeSecret(secret *corev1.Secret) {
	s.t.Helper()
	if _, err := s.client.CoreV1().Secrets(namespace).Update(s.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// handshake opens a connection with the given offer.
func (s *env) handshake(change func(*tls.Config)) (tls.ConnectionState, error) {
	conf := s.trust.Clone()
	conf.ServerName = "hub.test"
	change(conf)
	conn, err := tls.Dial("tcp", publicAddr, conf)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState(), nil
}

// shown is the serial number of the certificate that a new connection gets.
func (s *env) shown() string {
	s.t.Helper()
	state, err := s.handshake(func(*tls.Config) {})
	if err != nil {
		s.t.Fatalf("handshake: %v", err)
	}
	return state.PeerCertificates[0].SerialNumber.String()
}

// withAliceOverTLS is an env with TLS in which alice's server runs and her browser
// has been there.
func withAliceOverTLS(t *testing.T) (*env, *person) {
	t.Helper()
	s := newTLSEnv(t)
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	alice := s.login("alice")
	wait.Until(s.t, "alice's server answers", func() bool { return alice.visit("/user/alice/lab").code == 200 })
	return s, alice
}

// A new certificate drops no connection and reaches every new one; a bad one changes
// nothing and is reported; a vanished one is not missed, even over a restart.
func TestCertificateRotation(t *testing.T) {
	s, alice := withAliceOverTLS(t)
	h2 := alice.overH2()
	first := s.shown()
	one := dialEcho(t, alice, "HTTP/1.1")
	two := dialEcho(t, h2, "HTTP/2")
	listener := s.listenerState()

	s.putEdgeSecret(s.newEdgeSecret())
	wait.Until(s.t, "new connections get the new certificate", func() bool { return s.shown() != first })
	second := s.shown()
	alive := func(when string) {
		t.Helper()
		echoes(t, one, "HTTP/1.1 "+when)
		echoes(t, two, "HTTP/2 "+when)
		if !reused(t, alice) {
			t.Errorf("%s: an idle HTTP/1.1 connection was closed", when)
		}
		if now := s.listenerState(); now != listener {
			t.Errorf("%s: the listener changed:\n%s\nwas\n%s", when, now, listener)
		}
	}
	alive("after the rotation")

	bad := s.newEdgeSecret()
	bad.Data[corev1.TLSPrivateKeyKey] = s.newEdgeSecret().Data[corev1.TLSPrivateKeyKey]
	s.putEdgeSecret(bad)
	wait.Until(s.t, "the bad Secret is told by an Event", func() bool { return s.events("BadCertificate") == 1 })
	if log := s.logs["xds-server"].String(); strings.Count(log, "does not match") != 1 {
		t.Errorf("the bad Secret is not in the log once:\n%s", log)
	}
	if metrics := httpGet(t, "http://127.0.0.1:9101/metrics"); !strings.Contains(metrics, "\nperijove_edge_certificate_faults_total 1\n") {
		t.Error("the bad Secret is not counted once")
	}
	if s.shown() != second {
		t.Error("a bad Secret replaced the certificate")
	}
	alive("after the bad Secret")

	s.stopXDS()
	if err := s.client.CoreV1().Secrets(namespace).Delete(t.Context(), edgeSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.startXDS()
	wait.Until(s.t, "Envoy is back at the new xds-server", func() bool { return strings.Contains(s.logs["xds-server"].String(), "does not exist") && s.connected() })
	s.addPod("demo", server.ID{User: "alice", Name: "demo"}, newUpstream(t, "10.99.0.2", "demo").addr)
	wait.Until(s.t, "Envoy takes routes from it", func() bool { return alice.fetch("GET", "/user/alice/demo/").code == 200 })
	if s.shown() != second {
		t.Error("the restart took the certificate away")
	}
	alive("after the Secret vanished")
}

// dialEcho opens an echoing websocket to alice's server.
func dialEcho(t *testing.T, p *person, protocol string) *websocket.Conn {
	t.Helper()
	conn, code, err := p.dial("/user/alice/ws", p.s.base())
	if err != nil {
		t.Fatalf("websocket over %s: %d, %v", protocol, code, err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	echoes(t, conn, "opened over "+protocol)
	return conn
}

// reused reports whether a request finds the connection of an earlier one.
func reused(t *testing.T, p *person) (yes bool) {
	t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { yes = info.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, p.s.base()+"/user/alice/api", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body) // else Go closes the connection
	_ = resp.Body.Close()
	return yes && err == nil
}

// listenerState changes when Envoy replaces a listener.
func (s *env) listenerState() string {
	var out []string
	for line := range strings.Lines(s.envoy.AdminGet(s.t, "/stats?filter=^listener_manager.listener_(added|modified|removed|in_place_updated)$")) {
		out = append(out, strings.TrimSpace(line))
	}
	return strings.Join(out, " ")
}

// connected reports whether the xds-server has an Envoy.
func (s *env) connected() bool {
	return strings.Contains(httpGet(s.t, "http://127.0.0.1:9101/metrics"), "perijove_xds_envoys 1")
}

func (s *env) events(reason string) (n int) {
	list, err := s.client.CoreV1().Events(namespace).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range list.Items {
		if e.Reason == reason {
			n++
		}
	}
	return n
}

// Without a certificate a new gateway waits and is not ready: it never falls back to
// plain text. When the certificate comes it serves.
func TestGatewayWaitsForItsCertificate(t *testing.T) {
	s := newTLSEnv(t)
	if err := s.client.CoreV1().Secrets(namespace).Delete(t.Context(), edgeSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	late := s.launchSecondGateway()
	wait.Until(s.t, "Envoy runs", late.Alive)
	wait.Until(s.t, "the xds-server says what is missing", func() bool {
		return strings.Contains(s.logs["second xds-server"].String(), "does not exist")
	})
	wait.Until(s.t, "Envoy has the listener and waits", func() bool {
		return strings.Contains(late.AdminGet(t, "/config_dump?resource=dynamic_listeners"), `"warming_state"`)
	})
	if late.IsReady() {
		t.Error("a gateway without a certificate is ready")
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:8001"); err == nil {
		_ = conn.Close()
		t.Error("a gateway without a certificate listens")
	}
	if _, err := s.client.CoreV1().Secrets(namespace).Create(t.Context(), s.newEdgeSecret(), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	late.Ready(t)
}

// The edge takes TLS 1.2 with forward secrecy and AEAD, and TLS 1.3, and offers h2.
func TestTLSIsModern(t *testing.T) {
	s := newTLSEnv(t)
	for name, c := range map[string]struct {
		change func(*tls.Config)
		good   bool
	}{
		"TLS 1.3":          {func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, true},
		"TLS 1.2 AEAD":     {cipher(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), true},
		"TLS 1.2 ChaCha20": {cipher(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), true},
		"TLS 1.2 CBC":      {cipher(tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), false},
		"TLS 1.1":          {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, false},
	} {
		if _, err := s.handshake(c.change); (err == nil) != c.good {
			t.Errorf("%s: %v, want accepted = %v", name, err, c.good)
		}
	}
	for offer, want := range map[string]string{"h2,http/1.1": "h2", "http/1.1": "http/1.1"} {
		state, err := s.handshake(func(c *tls.Config) { c.NextProtos = strings.Split(offer, ",") })
		if err != nil || state.NegotiatedProtocol != want {
			t.Errorf("ALPN %s: %q, %v, want %s", offer, state.NegotiatedProtocol, err, want)
		}
	}
}

func cipher(suite uint16) func(*tls.Config) {
	return func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite} }
}

// Plain text gets no answer on the TLS port, and nothing but the way to https on the
// other one.
func TestPlainTextIsSentToHTTPS(t *testing.T) {
	s := newTLSEnv(t)
	if r := s.raw("GET", "/hub/login"); r.code != 0 {
		t.Errorf("plain text on the TLS port is answered %d", r.code)
	}
	for _, c := range []struct {
		host, path, want string
	}{
		{"hub.test", "/", "https://hub.test:8000/"},
		{"hub.test:8080", "/user/alice/lab?x=1", "https://hub.test:8000/user/alice/lab?x=1"},
		{"evil.test", "/hub/login", ""},
	} {
		r := s.rawAt(redirectAddr, "GET", c.path, "Host: "+c.host, "Cookie: perijove-session=x")
		if c.want == "" && r.code != 404 || c.want != "" && (r.code != 301 || r.get("Location") != c.want) {
			t.Errorf("http://%s%s: %d to %q, want %q", c.host, c.path, r.code, r.get("Location"), c.want)
		}
	}
	if r := s.rawAt(redirectAddr, "GET", "/user/alice/ws", "Host: hub.test", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="); r.code/100 == 1 || r.code/100 == 2 {
		t.Errorf("a websocket in plain text: %d", r.code)
	}
}

// X5: what Envoy shows of its configuration has no private key, nor do our logs and
// metrics.
func TestX5_PrivateKeyIsShownNowhere(t *testing.T) {
	s := newTLSEnv(t)
	secret, err := s.client.CoreV1().Secrets(namespace).Get(t.Context(), edgeSecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dump := s.envoy.AdminGet(t, "/config_dump")
	if !strings.Contains(dump, "[redacted]") && !regexp.MustCompile(`"private_key":\s*{\s*"inline_bytes": "W3JlZGFjdGVkXQ=="`).MatchString(dump) { // negative control: the secret is there
		t.Errorf("the dump has no redacted secret")
	}
	pages := map[string]string{
		"Envoy's /config_dump": dump, "Envoy's /certs": s.envoy.AdminGet(t, "/certs"),
		"the xds-server's log": s.logs["xds-server"].String(), "its metrics": httpGet(t, "http://127.0.0.1:9101/metrics"),
		"Envoy's log": string(readFile(t, s.envoy.Log)),
	}
	var planted []string
	for line := range strings.Lines(string(secret.Data[corev1.TLSPrivateKeyKey])) {
		if !strings.Contains(line, "-----") {
			planted = append(planted, strings.TrimSpace(line))
		}
	}
	for where, text := range pages {
		for _, p := range planted {
			// Base64 twice is how a dump writes bytes.
			if len(p) > 20 && (strings.Contains(text, p) || strings.Contains(text, base64Middle(p))) {
				t.Errorf("%s shows the private key", where)
			}
		}
	}
}

// base64Middle is how p looks inside a longer base64 text that begins at a multiple of
// three bytes.
func base64Middle(p string) string {
	return strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(p)), "=")
}

func httpGet(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// S10, S11, H8: over HTTP/2 a websocket passes the same checks, and CONNECT leads
// nowhere else.
func TestS11_WebsocketsOverHTTP2AreChecked(t *testing.T) {
	s, alice := withAliceOverTLS(t)
	h2 := alice.overH2()
	dialEcho(t, h2, "HTTP/2") // negative control
	for _, bad := range []string{"https://evil.test", "null", "http://" + publicHost, ""} {
		if _, code, err := h2.dial("/user/alice/ws", bad); err == nil || code != 403 {
			t.Errorf("Origin %q: %d, want 403", bad, code)
		}
	}
	if _, code, err := s.newPerson().overH2().dial("/user/alice/ws", s.base()); err == nil || code != 401 {
		t.Errorf("no session: %d, want 401", code)
	}
	bob := s.login("bob").overH2()
	if _, code, err := bob.dial("/user/alice/ws", s.base()); err == nil || code != 403 && code != 401 {
		t.Errorf("bob: %d, want 403 or 401", code)
	}
	if _, code, err := h2.dial("/hub/home", s.base()); err == nil || code != 403 {
		t.Errorf("a websocket to a page: %d, want 403", code)
	}
	for _, protocol := range []string{"", "connect-udp", "connect-ip", "foo"} {
		req, err := http.NewRequest(http.MethodConnect, s.base()+"/user/alice/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", alice.cookies("/user/alice/"))
		req.Header.Set("Origin", s.base())
		if protocol != "" {
			req.Header[":protocol"] = []string{protocol}
		}
		resp, err := h2.http.Transport.(overH2).send(req)
		if err != nil {
			continue // the stream was reset
		}
		_ = resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("CONNECT with the protocol %q: %d", protocol, resp.StatusCode)
		}
	}
}
