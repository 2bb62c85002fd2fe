package dataplane

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

const origin = "http://" + publicHost

func spawned(nonce string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[contract.AnnotationNonce] = nonce }
}

// TestWhoEnters is the heart of it: everyone tries alice's server.
func TestWhoEnters(t *testing.T) {
	s := newEnv(t)
	up := newUpstream(t, "10.99.0.1", "alice")
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, spawned("n1"))
	s.routed("/user/alice/api", true)

	anonymous := s.newPerson()
	if r := anonymous.fetch("GET", "/user/alice/api/kernels"); r.code != 401 || !json.Valid([]byte(r.body)) {
		t.Errorf("no session, script: %d %q, want 401 in JSON", r.code, r.body)
	}
	if r := anonymous.send("GET", "/user/alice/lab?x=1", nil, false); r.code != 302 || r.get("Location") != "/hub/login?next="+url.QueryEscape("/user/alice/lab?x=1") {
		t.Errorf("no session, page: %d to %q", r.code, r.get("Location"))
	}
	if _, code, err := anonymous.dial("/user/alice/api/kernels/1/channels", origin); err == nil || code != 401 {
		t.Errorf("S11 no session, websocket: %d, want 401", code)
	}
	bob := s.login("bob")
	if r := bob.visit("/user/alice/lab"); r.code != 403 {
		t.Errorf("bob's page: %d, want 403", r.code)
	}
	if r := s.raw("GET", "/user/alice/api/kernels", "Cookie: "+bob.cookies("/hub/")); r.code != 403 {
		t.Errorf("bob's session shown by hand: %d, want 403", r.code)
	}
	if n := len(up.requests()); n != 0 {
		t.Fatalf("%d requests of strangers reached alice's pod: %+v", n, up.requests())
	}

	alice := s.login("alice")
	r := alice.visit("/user/alice/lab?x=1") // through /hub/login, which hands out the pass
	var got seen
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Marker != "alice" {
		t.Fatalf("alice at her own server: %d %s", r.code, r.body)
	}
	if got.Path != "/user/alice/lab?x=1" || got.Host != publicHost {
		t.Errorf("the pod sees %s at %s", got.Path, got.Host)
	}
	if got.Header.Get(contract.HeaderUser) != "alice" || got.Header.Get(contract.HeaderServerSecret) == "" || got.Header.Get("X-Request-Id") == "" {
		t.Errorf("the pod misses a header of ours: %v", got.Header)
	}
	if r := alice.fetch("POST", "/user/alice/api/kernels"); r.code != 200 {
		t.Errorf("alice's own script: %d", r.code)
	}
	carol := s.login("carol")
	if r := carol.visit("/user/alice/lab"); r.code != 200 {
		t.Errorf("carol, an administrator: %d", r.code)
	}
}

// S4, S14: neither session nor pass reaches a pod, whoever visits; other cookies do.
func TestS4_PodsSeeNoCookieOfOurs(t *testing.T) {
	s := newEnv(t)
	up := newUpstream(t, "10.99.0.1", "alice")
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr)
	s.routed("/user/alice/api", true)
	carol := s.login("carol")
	carol.visit("/user/alice/lab")
	hub, pass := carol.cookies("/hub/"), carol.cookies("/user/alice/")
	if !strings.Contains(hub, contract.CookieSession) || !strings.Contains(pass, contract.CookiePass) || strings.Contains(pass, contract.CookieSession) {
		t.Fatalf("cookies of /hub/: %q; of /user/alice/: %q", hub, pass)
	}
	s.raw("GET", "/user/alice/api", "Cookie: "+hub+"; "+pass+"; _xsrf=theirs")
	for _, r := range up.requests() {
		cookie := strings.Join(r.Header.Values("Cookie"), "; ")
		if strings.Contains(cookie, "perijove") {
			t.Errorf("the pod received %q", cookie)
		}
	}
	all := up.requests()
	if last := all[len(all)-1]; last.Header.Get("Cookie") != "_xsrf=theirs" {
		t.Errorf("the application's own cookie arrived as %q", last.Header.Get("Cookie"))
	}
}

// H1, H3, H4, H6: no header of a client changes the route, the identity, the secret
// or the decision.
func TestH1_ClientHeadersChangeNothing(t *testing.T) {
	s := newEnv(t)
	up, other := newUpstream(t, "10.99.0.1", "alice"), newUpstream(t, "10.99.0.2", "elsewhere")
	s.addPod("jupyter-alice", server.ID{User: "alice"}, up.addr, spawned("n1"))
	s.addPod("plain", server.ID{User: "alice", Name: "plain"}, newUpstream(t, "10.99.0.3", "plain").addr)
	s.routed("/user/alice/api", true)
	s.routed("/user/alice/plain/", true)
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	cookie := "Cookie: " + alice.cookies("/user/alice/")
	secret := up.requests()[0].Header.Get(contract.HeaderServerSecret)

	spoofed := []string{cookie}
	for _, h := range []string{
		contract.HeaderScope, contract.HeaderDestination, contract.HeaderProofName, contract.HeaderServerSecret, contract.HeaderPassOwner,
		contract.HeaderUser, contract.HeaderDisplayName, contract.HeaderAdmin, contract.HeaderXSRF, contract.HeaderGroups, contract.HeaderSubject,
	} {
		spoofed = append(spoofed, h+": bob", h+": "+other.addr, strings.ToUpper(h)+":")
	}
	spoofed = append(spoofed, "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test", "X-Forwarded-Prefix: /evil", "X-Original-URL: /user/bob/",
		"X-Rewrite-URL: /user/bob/", "X-HTTP-Method-Override: DELETE", "x-envoy-original-path: /public", "x-envoy-internal: true",
		"x-envoy-upstream-rq-timeout-ms: 1", "x-envoy-retry-on: 5xx", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https")
	for path, marker := range map[string]string{"/user/alice/h1": "alice", "/user/alice/plain/h1": "plain"} {
		r := s.raw("GET", path, spoofed...)
		var got seen
		if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Marker != marker {
			t.Fatalf("%s: %d %s", path, r.code, r.body)
		}
		want := map[string]string{
			contract.HeaderUser: "alice", contract.HeaderServerSecret: secret, contract.HeaderAdmin: "", contract.HeaderXSRF: "", contract.HeaderGroups: "", contract.HeaderSubject: "",
			"X-Forwarded-Host": "", "Forwarded": "", "X-Original-Url": "", "X-Http-Method-Override": "", "X-Forwarded-Proto": "http",
			"X-Envoy-Internal": "", "X-Envoy-Original-Path": "",
		}
		if marker == "plain" {
			want[contract.HeaderServerSecret] = "" // not ours: it must learn no secret, nor a client's guess
		}
		for name, value := range want {
			if values := got.Header.Values(name); strings.Join(values, "|") != value {
				t.Errorf("%s: the pod sees %s = %q, want %q", path, name, values, value)
			}
		}
	}
	if len(other.requests()) != 0 {
		t.Error("a client chose the address that Envoy connected to")
	}
	for _, agent := range []string{"kube-probe/1.30", "GoogleHC/1.0"} {
		if r := s.raw("GET", "/user/alice/api", "User-Agent: "+agent); r.code != 401 {
			t.Errorf("H6 %s: %d, want 401", agent, r.code)
		}
	}
}

// H8: only a websocket upgrade on a user's route passes.
func TestH8_OtherUpgradesAreRefused(t *testing.T) {
	s, up, alice := withAlice(t)
	before := len(up.requests())
	cookie := "Cookie: " + alice.cookies("/user/alice/")
	for _, upgrade := range []string{"foo", "TLS/1.0", "websocket, foo"} {
		if r := s.raw("GET", "/user/alice/x", cookie, "Connection: Upgrade", "Upgrade: "+upgrade, "Origin: "+origin); r.code != 403 {
			t.Errorf("Upgrade: %s answers %d, want 403", upgrade, r.code)
		}
	}
	if r := s.rawBytes("CONNECT 10.99.0.1:8888 HTTP/1.1\r\nHost: " + publicHost + "\r\n\r\n"); r.code/100 == 2 {
		t.Errorf("CONNECT answers %d", r.code)
	}
	if n := len(up.requests()); n != before {
		t.Errorf("%d refused upgrades reached the pod", n-before)
	}
	// h2c is ignored, as RFC 9113 §3.1 allows: a plain request, without the offer.
	s.raw("GET", "/user/alice/x", cookie, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
	for _, r := range up.requests()[before:] {
		if r.Header.Get("Upgrade") != "" || r.Header.Get("Http2-Settings") != "" {
			t.Errorf("the pod was offered %v", r.Header)
		}
	}
}

// S10: a websocket is opened by our own pages only.
func TestS10_WebsocketOrigins(t *testing.T) {
	_, _, alice := withAlice(t)
	for _, bad := range []string{"http://evil.test", "null", origin + ".evil", "https://" + publicHost, "http://hub.test", ""} {
		if c, code, err := alice.dial("/user/alice/ws", bad); err == nil || code != 403 {
			if c != nil {
				_ = c.CloseNow()
			}
			t.Errorf("Origin %q: %d, want 403", bad, code)
		}
	}
	conn, _, err := alice.dial("/user/alice/ws", origin) // negative control
	if err != nil {
		t.Fatal(err)
	}
	echoes(t, conn, "hello")
	_ = conn.CloseNow()
}

// S9: forms and scripts of other sites change nothing under /hub/.
func TestS9_ForeignSitesCannotAct(t *testing.T) {
	s := newEnv(t)
	alice := s.login("alice")
	cookie := "Cookie: " + alice.cookies("/hub/")
	body := []string{"Content-Type: text/plain", "Content-Length: 0"}
	for name, headers := range map[string][]string{
		"cross-site":            {"Sec-Fetch-Site: cross-site", "Origin: http://evil.test"},
		"no-cors fetch":         {"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Origin: http://evil.test"},
		"no fetch metadata":     {"Origin: http://evil.test"},
		"nothing at all":        {},
		"same origin, no token": {"Sec-Fetch-Site: same-origin", "Origin: " + origin},
	} {
		for _, path := range []string{"/hub/spawn", "/hub/stop/alice", "/hub/api/users/alice/server"} {
			r := s.raw("POST", path, append(append([]string{cookie}, body...), headers...)...)
			if r.code != 403 {
				t.Errorf("%s: POST %s answers %d, want 403", name, path, r.code)
			}
		}
	}
	if pods := s.podNames(); len(pods) != 0 {
		t.Errorf("a forged request started %v", pods)
	}
}

// V1: after the logout an old tab's next request is refused, wherever it goes.
func TestV1_LogoutEndsOldTabs(t *testing.T) {
	s, _, alice := withAliceAsking(t, spawned("n"))
	old := "Cookie: " + alice.cookies("/user/alice/")
	oldHub := "Cookie: " + alice.cookies("/hub/")
	if r := s.raw("GET", "/user/alice/api", old); r.code != 200 { // negative control
		t.Fatalf("before the logout: %d", r.code)
	}
	if r := alice.visit("/user/alice/logout"); r.code != 200 {
		t.Fatalf("JupyterLab's logout link: %d", r.code)
	}
	for name, cookie := range map[string]string{"pass": old, "session": oldHub} {
		if r := s.raw("GET", "/user/alice/api", cookie); r.code != 401 {
			t.Errorf("the old %s after the logout: %d, want 401", name, r.code)
		}
	}
	if r := s.raw("GET", "/hub/api/user", oldHub); r.code != 401 {
		t.Errorf("the hub after the logout: %d, want 401", r.code)
	}
}

// Names that need percent-encoding reach the same server in every spelling.
func TestNamesThatNeedEncoding(t *testing.T) {
	s := newEnv(t)
	for i, name := range []string{"alice@uni.example", "al ice", "张伟", "o'neil", "50%", "a+b$c"} {
		id := server.ID{User: name}
		up := newUpstream(t, "10.99.1."+string(rune('1'+i)), name)
		s.addPod("p"+string(rune('a'+i)), id, up.addr)
		for _, key := range server.Spellings(name) {
			s.routed("/user/"+key+"/api", true)
			carol := s.login("carol")
			r := carol.visit("/user/" + key + "/lab")
			var got seen
			if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Marker != name || got.Path != id.Prefix()+"lab" {
				t.Errorf("%q as %s: %d, the pod sees %q of %q", name, key, r.code, got.Path, got.Marker)
			}
		}
	}
}

func TestStripPrefix(t *testing.T) {
	s := newEnv(t)
	s.addPod("web", server.ID{User: "alice", Name: "web"}, newUpstream(t, "10.99.0.1", "web").addr,
		func(p *corev1.Pod) { p.Annotations[contract.AnnotationStripPrefix] = "true" })
	s.routed("/user/alice/web/", true)
	alice := s.login("alice")
	for path, want := range map[string]string{"/user/alice/web/": "/", "/user/alice/web/a/b?c=d": "/a/b?c=d"} {
		var got seen
		if r := alice.visit(path); json.Unmarshal([]byte(r.body), &got) != nil || got.Path != want {
			t.Errorf("%s arrives as %q (%d), want %q", path, got.Path, r.code, want)
		}
	}
	if r := alice.send("GET", "/user/alice/web?a=b", nil, false); r.code != 302 || r.get("Location") != "/user/alice/web/?a=b" {
		t.Errorf("without a slash: %d to %q", r.code, r.get("Location"))
	}
}

func echoes(t *testing.T, conn *websocket.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatalf("websocket write: %v", err)
	}
	_, got, err := conn.Read(ctx)
	if err != nil || string(got) != text {
		t.Fatalf("websocket echoed %q, %v", got, err)
	}
}
