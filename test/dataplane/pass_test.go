package dataplane

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	authzapp "github.com/perijove/perijove/cmd/authz/app"
	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// withAliceAsking is withAlice where every request goes to authz (passTTL: 0).
func withAliceAsking(t *testing.T, change ...func(*corev1.Pod)) (*env, *upstream, *person) {
	t.Helper()
	return withAliceOn(newEnvWith(t, func(s *env) {
		s.adjust = func(cfg *xdsapp.Config) { cfg.Envoy.CheckPasses = false }
		s.adjustAuthz = func(cfg *authzapp.Config) { cfg.PassTTL = 0 }
	}), change...)
}

// knowsKeys waits until Envoy has fetched the keys of passes.
func (s *env) knowsKeys() {
	s.t.Helper()
	wait.Until(s.t, "Envoy knows the keys of passes", func() bool {
		return s.stat("jwt_authn.jwks_fetch_success") > 0
	})
}

// stat sums Envoy's counters whose name ends in suffix.
func (s *env) stat(suffix string) (sum int) {
	for line := range strings.Lines(s.envoy.AdminGet(s.t, "/stats?type=Counters")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil && strings.HasSuffix(name, suffix) {
			sum += n
		}
	}
	return sum
}

// With a pass Envoy lets in by itself whoever only reads; whatever else a request is, it
// goes to authz. Authz is dead here, so 503 means that it was asked.
func TestPassIsJudgedByEnvoy(t *testing.T) {
	s, up, alice := withAlice(t)
	s.addPod("jupyter-bob", server.ID{User: "bob"}, newUpstream(t, "10.99.0.2", "bob").addr)
	s.routed("/user/bob/api", true)
	carol := s.login("carol")
	carol.visit("/user/alice/lab")
	carol.visit("/user/bob/lab")
	s.knowsKeys()
	s.stopAuthz()

	own := "Cookie: _xsrf=2|a; " + alice.cookies("/user/alice/")
	admins := "Cookie: " + carol.cookies("/user/alice/")
	before := len(up.requests())
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"alice reads":                   {"GET", "/user/alice/api", []string{own}, 200},
		"a page of alice's reads":       {"GET", "/user/alice/api", []string{own, "Sec-Fetch-Mode: cors"}, 200},
		"alice opens a page":            {"GET", "/user/alice/api", []string{own, "Sec-Fetch-Mode: navigate"}, 503}, // counted as activity
		"an administrator reads":        {"GET", "/user/alice/api", []string{admins}, 200},
		"alice at bob's":                {"GET", "/user/bob/api", []string{own}, 403},
		"an administrator's other pass": {"GET", "/user/bob/api", []string{admins}, 403},
		"S9 alice writes":               {"POST", "/user/alice/api", []string{own}, 503},
		"S9 alice writes somehow":       {"get", "/user/alice/api", []string{own}, 400},
		"HEAD":                          {"HEAD", "/user/alice/api", []string{own}, 503},
		"S10 alice opens a websocket":   {"GET", "/user/alice/ws", []string{own, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 503},
		"S12 a token beside the pass":   {"GET", "/user/alice/api", []string{own, "Authorization: token x"}, 503},
		"nobody":                        {"GET", "/user/alice/api", nil, 503},
		"H1 nobody who claims a pass":   {"GET", "/user/alice/api", []string{contract.HeaderPassOwner + ": alice", contract.HeaderUser + ": alice"}, 503},
		"S2 an altered pass":            {"GET", "/user/alice/api", []string{own[:len(own)-2] + "AA"}, 503},
		"O5 an unsigned pass":           {"GET", "/user/alice/api", []string{"Cookie: " + contract.CookiePass + "=eyJhbGciOiJub25lIn0.eyJpc3MiOiJwZXJpam92ZSIsInN1YiI6ImFsaWNlIiwib3duZXIiOiJhbGljZSJ9."}, 503},
		"V1 JupyterLab's logout":        {"GET", "/user/alice/logout?x", []string{own}, 503},
		"the hub":                       {"GET", "/hub/home", []string{own}, 503},
	} {
		if r := s.raw(c.method, c.path, c.headers...); r.code != c.want {
			t.Errorf("%s: %d, want %d (%s)", name, r.code, c.want, r.body)
		} else if c.want == 403 && (r.get("Content-Type") != "application/json" || !strings.Contains(r.body, "somebody else")) {
			t.Errorf("%s: %s %s", name, r.get("Content-Type"), r.body)
		}
	}
	got := up.requests()[before:]
	if len(got) != 3 {
		t.Fatalf("the pod received %d requests, want 3", len(got))
	}
	for _, r := range got {
		if c := r.Header.Get("Cookie"); strings.Contains(c, "perijove") {
			t.Errorf("S4: the pod received the cookies %q", c)
		}
		user, name := r.Header.Values(contract.HeaderUser), r.Header.Values(contract.HeaderDisplayName)
		if len(user) != 1 || len(name) != 1 || (user[0] != "alice" && user[0] != "carol") || name[0] == "" {
			t.Errorf("the pod learned the visitor as %q, %q", user, name)
		}
	}
}

// The pass is renewed without anybody noticing, and refused within its lifetime after the
// session has ended (V1, V3).
func TestPassIsRenewedAndEnds(t *testing.T) {
	s := newEnvWith(t, func(s *env) {
		s.adjustAuthz = func(cfg *authzapp.Config) { cfg.PassTTL = 4 * time.Second }
	})
	_, _, alice := withAliceOn(s)
	s.knowsKeys()
	first := alice.cookies("/user/alice/")
	wait.Until(s.t, "alice has a fresh pass", func() bool {
		if r := alice.fetch("GET", "/user/alice/api"); r.code != 200 {
			t.Fatalf("while her session lives alice gets %d", r.code)
		}
		return alice.cookies("/user/alice/") != first
	})
	stolen := "Cookie: " + alice.cookies("/user/alice/")
	if r := s.raw("GET", "/user/alice/api", stolen); r.code != 200 { // negative control
		t.Fatalf("the pass before the logout: %d", r.code)
	}
	if r := alice.visit("/hub/logout"); r.code != 200 {
		t.Fatalf("logout: %d", r.code)
	}
	end := time.Now().Add(4 * time.Second)
	wait.Until(s.t, "the stolen pass is refused", func() bool {
		asked := time.Now()
		refused := s.raw("GET", "/user/alice/api", stolen).code == http.StatusUnauthorized
		if late := asked.Sub(end); !refused && late > 0 {
			t.Fatalf("the pass outlived its time by %v", late)
		}
		return refused
	})
}

// New keys log nobody out: an old pass stays good while its key is in the ring, and one by
// a key that Envoy has not fetched yet is judged by authz.
func TestPassKeysRotate(t *testing.T) {
	s, _, alice := withAlice(t)
	s.knowsKeys()
	old := "Cookie: " + alice.cookies("/user/alice/")
	s.stopAuthz()
	writeFile(t, s.path("pass2.pem"), passKey(t))
	s.adjustAuthz = func(cfg *authzapp.Config) { cfg.PassKeyFiles = []string{s.path("pass2.pem"), s.path("pass.pem")} }
	s.startAuthz()
	wait.Until(s.t, "authz is back", func() bool { return alice.visit("/hub/logout").code == 200 })
	if r := s.raw("GET", "/user/alice/api", old); r.code != 200 {
		t.Errorf("the old pass after the rotation: %d", r.code)
	}
	carol := s.login("carol")
	if r := carol.visit("/user/alice/lab"); r.code != 200 {
		t.Errorf("a visitor whose pass has the new key: %d", r.code)
	}
	if r := s.raw("GET", "/user/alice/api", "Cookie: "+carol.cookies("/user/alice/")); r.code != 200 {
		t.Errorf("the pass by the new key: %d", r.code)
	}
	s.stopAuthz() // negative control: a key that left the ring is good for nothing
	s.adjustAuthz = func(cfg *authzapp.Config) { cfg.PassKeyFiles = []string{s.path("pass3.pem")} }
	writeFile(t, s.path("pass3.pem"), passKey(t))
	s.startAuthz()
	wait.Until(s.t, "the pass by a dropped key is refused", func() bool {
		return s.raw("GET", "/user/alice/api", "Cookie: "+carol.cookies("/user/alice/")).code == http.StatusUnauthorized
	})
}

// passTTL 0: authz is asked about every request, a pass is no more than a name badge.
func TestWithoutPassesEveryRequestIsAsked(t *testing.T) {
	s, _, alice := withAliceAsking(t)
	if r := alice.fetch("GET", "/user/alice/api"); r.code != 200 {
		t.Fatalf("alice: %d", r.code)
	}
	s.stopAuthz()
	if r := alice.fetch("GET", "/user/alice/api"); r.code != 503 {
		t.Errorf("with authz dead alice gets %d, want 503", r.code)
	}
}
