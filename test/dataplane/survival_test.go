package dataplane

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/wait"
)

func (s *env) podNames() []string {
	s.t.Helper()
	list, err := s.client.CoreV1().Pods(namespace).List(s.t.Context(), metav1.ListOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, p := range list.Items {
		out = append(out, p.Name)
	}
	return out
}

// An open kernel websocket survives other people's coming and going, its own
// route's change and withdrawal, and the deaths of xds-server, authz and spawner.
func TestOpenWebsocketSurvivesEverythingElse(t *testing.T) {
	s, _, alice := withAlice(t)
	conn, _, err := alice.dial("/user/alice/ws", origin)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	echoes(t, conn, "open")

	other := newUpstream(t, "10.99.0.2", "bob")
	for i := range 5 {
		name := fmt.Sprintf("bob-%d", i)
		s.addPod(name, server.ID{User: "bob"}, other.addr)
		s.routed("/user/bob/api", true)
		s.deletePod(name)
		s.routed("/user/bob/api", false)
	}
	echoes(t, conn, "after another user came and went five times")

	s.addPod("demo", server.ID{User: "alice", Name: "demo"}, other.addr)
	wait.Until(s.t, "alice's own scope changed", func() bool { return s.raw("GET", "/user/alice/demo/").code == 401 })
	echoes(t, conn, "after a change of her own route")

	s.stopXDS()
	s.stopAuthz()
	s.stopSpawner()
	echoes(t, conn, "with every service of ours dead")
}

// R1: with the xds-server dead, servers go on; a new one notices what was deleted
// meanwhile (R4).
func TestR1_XDSServerDiesAndComesBack(t *testing.T) {
	s := newEnv(t)
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	s.addPod("jupyter-bob", server.ID{User: "bob"}, newUpstream(t, "10.99.0.2", "bob").addr)
	s.routed("/user/alice/api", true)
	s.routed("/user/bob/api", true)
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	s.stopXDS()
	for range 20 {
		if r := alice.fetch("GET", "/user/alice/api"); r.code != 200 {
			t.Fatalf("with the xds-server dead alice gets %d", r.code)
		}
	}
	// An Envoy that starts now has no routes: it must not say that it is ready.
	fresh := envoyproc.Start(t, envoyproc.Options{Node: "envoy-2", XDSSock: s.path("xds.sock"), TLS: s.gate})
	wait.Until(s.t, "the new Envoy runs", fresh.Alive)
	if state := fresh.AdminGet(t, "/ready"); strings.HasPrefix(state, "LIVE") || fresh.IsReady() {
		t.Error("an Envoy without routes is ready: it would answer 404")
	}
	fresh.Kill()

	s.deletePod("jupyter-bob")
	s.startXDS()
	s.routed("/user/bob/api", false)
	if r := alice.fetch("GET", "/user/alice/api"); r.code != 200 {
		t.Errorf("after the restart alice gets %d: the restart withdrew a running server", r.code)
	}
}

// R2: without authz nothing is let through, and everyone is told that it is an outage.
func TestR2_AuthzDiesClosed(t *testing.T) {
	s, up, alice := withAliceAsking(t)
	before := len(up.requests())
	s.stopAuthz()
	if r := alice.fetch("GET", "/user/alice/api"); r.code != 503 || r.get("Retry-After") == "" {
		t.Errorf("without authz: %d, Retry-After %q, want 503 with one", r.code, r.get("Retry-After"))
	}
	if _, code, err := alice.dial("/user/alice/ws", origin); err == nil || code != 503 {
		t.Errorf("websocket without authz: %d, want 503", code)
	}
	if n := len(up.requests()); n != before {
		t.Error("a request passed while nobody could check it")
	}
	s.startAuthz()
	wait.Until(s.t, "authz is back, with the same sessions", func() bool { return alice.fetch("GET", "/user/alice/api").code == 200 })
}

// The directory dies: the login page says so, people who are in stay in.
func TestDirectoryDies(t *testing.T) {
	s, _, alice := withAlice(t)
	s.ldap.Stop()
	page := s.newPerson()
	form := page.visit("/hub/login")
	m := xsrfField.FindStringSubmatch(form.body)
	if m == nil {
		t.Fatalf("the login page vanished with the directory: %d", form.code)
	}
	r := page.send("POST", "/hub/login", map[string][]string{"username": {"bob"}, "password": {"bob-password"}, "_xsrf": {m[1]}}, false)
	if r.code != 503 {
		t.Errorf("login without a directory: %d, want 503", r.code)
	}
	if r := alice.fetch("GET", "/user/alice/api"); r.code != 200 {
		t.Errorf("alice, logged in, gets %d", r.code)
	}
}

// K8, R10: while the control plane is dead alice's pod dies and mallory's gets its
// address. Envoy still routes alice there; the secret of her own pod makes mallory's
// server refuse, so neither sees the other's data.
func TestK8_ReusedAddressServesNobodyElse(t *testing.T) {
	s := newEnv(t)
	key := bytes.Repeat([]byte("k"), 32)
	first := newUpstream(t, "10.99.0.1", "alice")
	first.guard(contract.ServerSecret(key, namespace, "jupyter-alice", "n1"))
	s.addPod("jupyter-alice", server.ID{User: "alice"}, first.addr, spawned("n1"))
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	if r := alice.visit("/user/alice/lab"); r.code != 200 { // negative control: her own pod knows the secret
		t.Fatalf("alice at her own pod: %d", r.code)
	}
	s.stopXDS()
	first.stop()
	second := newUpstream(t, "10.99.0.1", "mallory")
	second.guard(contract.ServerSecret(key, namespace, "jupyter-mallory", "n2"))
	for range 20 {
		if r := alice.fetch("GET", "/user/alice/api/contents/secret"); r.code != 403 || strings.Contains(r.body, "mallory") {
			t.Fatalf("alice got %d %s from another's pod", r.code, r.body)
		}
	}
	if n := len(second.requests()); n != 0 {
		t.Errorf("mallory's server accepted %d of alice's requests", n)
	}
}

// A class opens its notebooks: 200 websockets at once, while authz is asked about other
// requests as fast as it can answer. None is refused.
func TestManyWebsocketsAtOnce(t *testing.T) {
	const many = 200
	s, _, alice := withAlice(t)
	session := "Cookie: " + alice.cookies("/hub/") // without a pass: authz judges each
	stop, asked := make(chan struct{}), atomic.Int64{}
	var load, sockets sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r := s.raw("GET", "/user/alice/load", session); r.code != 200 {
					t.Errorf("a request beside them: %d", r.code)
					return
				}
				asked.Add(1)
			}
		})
	}
	wait.Until(t, "authz is busy", func() bool { return asked.Load() > 100 })
	var open atomic.Int64
	for range many {
		sockets.Go(func() {
			conn, code, err := alice.dial("/user/alice/ws", origin)
			if err != nil {
				t.Errorf("refused: %d, %v", code, err)
				return
			}
			open.Add(1)
			_ = conn.CloseNow()
		})
	}
	sockets.Wait()
	close(stop)
	load.Wait()
	if open.Load() != many {
		t.Errorf("%d of %d were opened", open.Load(), many)
	}
	t.Logf("%d requests beside them", asked.Load())
}
