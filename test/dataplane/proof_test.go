package dataplane

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const (
	uidAlice   = "0b8fd1a6-54c5-4a4e-8f1c-6f2b7a0c9d3e"
	uidMallory = "5e0c41c7-7a55-4f5b-9d55-3a4d8b7f2c11"
)

// proven is a pod with this UID that promises a proof.
func proven(uid string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.UID, p.Annotations[contract.AnnotationProof] = types.UID(uid), "true"
	}
}

// proof is what the pod with this UID serves with: a certificate of its name by ca. It asks
// for the gateway's certificate, as Jupyter does.
func (s *env) proof(uid string, ca *pki.CA) *tls.Config {
	s.t.Helper()
	name, err := contract.ProofName(uid)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.serve(ca.Issue(name, time.Hour))
}

func (s *env) serve(files mtls.Files) *tls.Config {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: s.ca.Pool()}
}

// ask sends one request of each kind to alice's server and returns what each was answered.
func (s *env) ask(cookie string) map[string]int {
	s.t.Helper()
	const body = "print('alice')"
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	answers := map[string]int{}
	for kind, request := range map[string]string{
		"GET":       "GET /user/alice/api HTTP/1.1\r\n" + head(cookie) + "\r\n",
		"POST":      "POST /user/alice/api/contents HTTP/1.1\r\n" + head(cookie) + length + "\r\n" + body,
		"websocket": "GET /user/alice/ws HTTP/1.1\r\n" + head(cookie) + upgrade + "\r\n",
	} {
		answers[kind] = s.rawBytes(request).code
	}
	return answers
}

func head(cookie string) string {
	return "Host: " + publicHost + "\r\nOrigin: " + origin + "\r\nCookie: " + cookie + "\r\n"
}

// all reports whether every kind of request got its code.
func all(answers map[string]int, want map[string]int) bool {
	for kind, code := range want {
		if answers[kind] != code {
			return false
		}
	}
	return len(answers) == len(want)
}

func answered() map[string]int { return map[string]int{"GET": 200, "POST": 200, "websocket": 101} }
func refused() map[string]int  { return map[string]int{"GET": 503, "POST": 503, "websocket": 503} }

// K8, R10: the xds-server is dead, alice's pod is gone, and another pod has its address: with
// a certificate of its own, with one that it made for alice's name, or with none. Envoy,
// which still has the route, sends it nothing. With alice's certificate there it goes on.
func TestK8_R10_AnotherPodOnTheAddressGetsNothing(t *testing.T) {
	s := newEnv(t)
	up := newUpstreamOver(t, "10.99.0.1", "alice", s.proof(uidAlice, s.servers))
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, spawned("n1"), proven(uidAlice))
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	cookie := alice.cookies("/user/alice/")
	if got := s.ask(cookie); !all(got, answered()) {
		t.Fatalf("alice at her own server: %v", got)
	}
	s.stopXDS()
	up.stop()

	name, err := contract.ProofName(uidAlice)
	if err != nil {
		t.Fatal(err)
	}
	stranger := pki.New(t)
	for what, conf := range map[string]*tls.Config{
		"plain HTTP":                              nil,
		"the proof of another pod":                s.proof(uidMallory, s.servers),
		"alice's name by a CA of its own":         s.proof(uidAlice, stranger),
		"alice's name by the internal CA":         s.proof(uidAlice, s.ca),
		"the gateway's own name":                  s.serve(s.gate),
		"every name":                              s.serve(s.servers.Issue("*.com", time.Hour)),
		"alice's name, expired":                   s.serve(s.servers.Issue(name, -time.Hour)),
		"alice's name as a subdomain":             s.serve(s.servers.Issue("x."+name, time.Hour)),
		"alice's name without the platform's end": s.serve(s.servers.Issue(uidAlice, time.Hour)),
	} {
		other := newUpstreamOver(t, "10.99.0.1", "another", conf)
		for range 3 {
			if got := s.ask(cookie); !all(got, refused()) {
				t.Errorf("%s: alice got %v", what, got)
			}
		}
		if n := len(other.requests()); n > 0 {
			t.Errorf("%s: the pod got %d of alice's requests", what, n)
		}
		other.stop()
	}

	back := newUpstreamOver(t, "10.99.0.1", "alice", s.proof(uidAlice, s.servers)) // negative control
	if got := s.ask(cookie); !all(got, answered()) || len(back.requests()) != 3 {
		t.Errorf("with the right certificate alice got %v in %d requests", got, len(back.requests()))
	}
}

// K8: two routes lead to one address, one of them a dead pod's. Neither a pooled connection
// nor a resumed session that Envoy has with the living pod serves the other route.
func TestK8_NoConnectionIsSharedBetweenNames(t *testing.T) {
	for what, change := range map[string]func(*tls.Config, *http.Header){
		"pooled connections": func(*tls.Config, *http.Header) {},
		"resumed sessions":   func(_ *tls.Config, h *http.Header) { h.Set("Connection", "close") },
	} {
		t.Run(what, func(t *testing.T) {
			s := newEnv(t)
			conf, header := s.proof(uidMallory, s.servers), http.Header{}
			change(conf, &header)
			up := newUpstreamOver(t, "10.99.0.1", "mallory", conf)
			up.answer(header)
			s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, spawned("n1"), proven(uidAlice))
			s.addPod("jupyter-mallory", server.ID{User: "mallory"}, up.addr, spawned("n2"), proven(uidMallory))
			s.routed("/user/alice/api", true)
			s.routed("/user/mallory/api", true)
			carol := s.login("carol") // may enter both
			carol.visit("/user/mallory/lab")
			carol.visit("/user/alice/lab")
			for range 30 {
				if r := carol.fetch("GET", "/user/mallory/api"); r.code != 200 {
					t.Fatalf("mallory's own route answers %d", r.code) // negative control
				}
				if r := carol.fetch("GET", "/user/alice/api"); r.code != 503 {
					t.Fatalf("alice's route to mallory's pod answers %d %s", r.code, r.body)
				}
			}
			for _, r := range up.requests() {
				if !strings.HasPrefix(r.Path, "/user/mallory/") {
					t.Errorf("mallory's pod got %s", r.Path)
				}
			}
		})
	}
}

// A labelled pod beside a proven one is reached in plain HTTP, and a pod that speaks TLS
// without saying so is not reached at all.
func TestLabelledPodsSpeakPlainHTTP(t *testing.T) {
	s := newEnv(t)
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstreamOver(t, "10.99.0.1", "alice", s.proof(uidAlice, s.servers)).addr, spawned("n1"), proven(uidAlice))
	s.addPod("rstudio", server.ID{User: "alice", Name: "rstudio"}, newUpstream(t, "10.99.0.2", "rstudio").addr)
	s.addPod("silent", server.ID{User: "alice", Name: "silent"}, newUpstreamOver(t, "10.99.0.3", "silent", s.proof(uidMallory, s.servers)).addr)
	for _, path := range []string{"/user/alice/api", "/user/alice/rstudio/", "/user/alice/silent/"} {
		s.routed(path, true)
	}
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	for path, want := range map[string]int{"/user/alice/api": 200, "/user/alice/rstudio/x": 200} {
		if r := alice.fetch("GET", path); r.code != want {
			t.Errorf("%s answers %d, want %d", path, r.code, want)
		}
	}
	if r := alice.fetch("GET", "/user/alice/silent/x"); r.code == 200 {
		t.Errorf("plain HTTP to a pod that speaks TLS answers %d", r.code)
	}
}

// A pod that asks for a client certificate gets the gateway's: whoever connects without one
// is refused before a request is read.
func TestK5_ProvenPodsAnswerTheGatewayOnly(t *testing.T) {
	s := newEnv(t)
	up := newUpstreamOver(t, "10.99.0.1", "alice", s.proof(uidAlice, s.servers))
	conn, err := tls.Dial("tcp", up.addr, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "GET /user/alice/api HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(net.Conn(conn)), nil)
	}
	if err == nil || len(up.requests()) > 0 {
		t.Error("a stranger without a certificate was answered")
	}
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, spawned("n1"), proven(uidAlice))
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	if r := alice.visit("/user/alice/lab"); r.code != 200 { // negative control
		t.Errorf("alice at her own server: %d", r.code)
	}
}

// TestSpawnedPodProvesItself goes from the button to the first answer of a server that serves
// with nothing but what the spawner put into its secret.
func TestSpawnedPodProvesItself(t *testing.T) {
	s := newEnvWith(t, func(s *env) { s.proofs = true })
	s.kubelet("10.99.0.1")
	alice := s.login("alice")
	m := xsrfField.FindStringSubmatch(alice.visit(contract.PathSpawn).body)
	if m == nil {
		t.Fatal("the spawn page has no form")
	}
	alice.send("POST", contract.PathSpawn, url.Values{contract.XSRFName: {m[1]}}, false)
	up := newUpstreamOver(t, "10.99.0.1", "alice", s.mounted())
	if last := s.progress(alice, "/hub/api/users/alice/server/progress"); last["ready"] != true {
		t.Fatalf("the progress ends with %v", last)
	}
	alice.visit("/user/alice/lab")
	if got := s.ask(alice.cookies("/user/alice/")); !all(got, answered()) {
		t.Errorf("alice at her own server: %v", got)
	}
	// The probe, too, came with a certificate: the server answers nobody else.
	if len(up.requests()) < 5 {
		t.Errorf("the server answered %d requests", len(up.requests()))
	}
}

// mounted waits for the spawned pod's secret and serves as Jupyter does with its files.
func (s *env) mounted() *tls.Config {
	s.t.Helper()
	var files map[string]string
	wait.Until(s.t, "the pod's secret", func() bool {
		list, err := s.client.CoreV1().Secrets(namespace).List(s.t.Context(), metav1.ListOptions{LabelSelector: contract.LabelManagedBy + "=" + contract.ManagedBySpawner})
		if err != nil || len(list.Items) == 0 {
			return false
		}
		files = list.Items[0].StringData
		return true
	})
	pair, err := tls.X509KeyPair([]byte(files["tls.crt"]), []byte(files["tls.key"]))
	if err != nil {
		s.t.Fatal(err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM([]byte(files["ca.crt"])) {
		s.t.Fatal("ca.crt holds no certificate")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients}
}
