package dataplane

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/abuse"
)

// legalPaths are what may stand below a server's own prefix: everything that a URI may hold
// (RFC 3986 §3.3).
func legalPaths() []string {
	paths := []string{
		"", "/", "//x", "x//", "x//y///z", "Assignment%2Fnb.ipynb", "proxy/9001/tiles/https://example.org/a", "..x", "...", ".hidden", "x/..y/z..",
		"100%25", "a%252Fb", "%252e%252e", "%2Fx", "x%2F%2Fy", "a%5Cb", "%2Ehidden", "x%2Ey", "x%2e%2e", "%E5%BC%A0/%e5%bc%a0", "%C0%AF",
		"a;b=c/d;e", "!$&'()*+,;=:@-._~", "user/bob/x", "hub/home", "login", "lab/tree/a%20b.ipynb",
	}
	for b := range 256 {
		paths = append(paths, fmt.Sprintf("x%%%02X%%%02xy", b, b))
	}
	return paths
}

// A server is sent the path that its user's client sent, byte for byte below its prefix,
// whatever escapes are in it, and the query too.
func TestPathsReachServersByteForByte(t *testing.T) {
	const query = "?q=a//b/../%2F%2e&r=%61"
	s, up, alice := withAlice(t)
	s.addPod("demo", server.ID{User: "alice", Name: "demo"}, up.addr)
	s.addPod("web", server.ID{User: "alice", Name: "web"}, up.addr, func(p *corev1.Pod) { p.Annotations[contract.AnnotationStripPrefix] = "true" })
	s.routed("/user/alice/demo/", true)
	s.routed("/user/alice/web/", true)
	s.knowsKeys()
	sender := abuse.Sender{Host: publicHost, Cookie: alice.cookies("/user/alice/")}
	arrives := func(protocol, path, want string) {
		t.Helper()
		answer, _ := send(t, protocol, sender.Get(path+query))
		var got seen
		if err := json.Unmarshal([]byte(answer.Body), &got); err != nil || answer.Code != 200 || got.Path != want+query {
			t.Errorf("%s over %s arrives as %q, want %q (%d %.80s)", path, protocol, got.Path, want+query, answer.Code, answer.Body)
		}
	}
	for _, protocol := range abuse.Protocols() {
		for _, path := range legalPaths() {
			arrives(protocol, "/user/alice/"+path, "/user/alice/"+path)
			arrives(protocol, "/user/alice/demo/"+path, "/user/alice/demo/"+path)
			// An application that gets //host for a path may redirect there: one slash (U3).
			arrives(protocol, "/user/alice/web/"+path, "/"+strings.TrimLeft(path, "/"))
		}
	}
}

// Websockets and requests that authz judges take the same road.
func TestPathsReachServersByteForByteThroughAuthz(t *testing.T) {
	s, up, alice := withAlice(t)
	for _, path := range []string{"/user/alice/api/collaboration/session/Assignment%2Fnb.ipynb", "/user/alice/x//y%2Fz%2E"} {
		if r := alice.fetch("PUT", path); r.code != 200 {
			t.Errorf("PUT %s: %d %s", path, r.code, r.body)
		}
		conn, code, err := alice.dial(path, origin)
		if err != nil {
			t.Fatalf("websocket to %s: %d, %v", path, code, err)
		}
		_ = conn.CloseNow()
		seen := up.requests()
		for _, r := range seen[len(seen)-2:] {
			if r.Path != path {
				t.Errorf("%s arrives as %s", path, r.Path)
			}
		}
	}
	_ = s
}

// What the edge refuses by its form says so, with a request id to ask about.
func TestRefusedFormsSayWhy(t *testing.T) {
	a := newAbuseEnv(t)
	for _, protocol := range abuse.Protocols() {
		for _, path := range []string{"/user/alice/..%2fx", "/user/alice%2Fx", "/user/nobody/%2e%2e/x", "/user/alice/../x", "/hub//home", "/hub/api%2Fuser", "/x%2Fy", "/hub/user/%2e%2e/%2e%2e/user/alice/x"} {
			for who, sender := range map[string]abuse.Sender{"alice": a.alice, "nobody": a.nobody} {
				answer, _ := send(t, protocol, sender.Get(path))
				var body struct {
					Message   string `json:"message"`
					RequestID string `json:"request_id"`
				}
				if err := json.Unmarshal([]byte(answer.Body), &body); err != nil || answer.Code != 400 || body.Message == "" ||
					body.RequestID == "" || body.RequestID != answer.Header.Get("X-Request-Id") || answer.Header.Get("Www-Authenticate") != "" {
					t.Errorf("%s by %s over %s: %d %s, %v", path, who, protocol, answer.Code, answer.Body, answer.Header)
				}
			}
		}
	}
	if n := len(a.alices.requests()); n != 1 { // her visit
		t.Errorf("alice's pod received %d requests", n)
	}
}

// A page of a server that does not run leads to the hub even if the path has escapes, and the
// hub takes it.
func TestPathsOfStoppedServersReachTheHub(t *testing.T) {
	s := newEnv(t)
	alice := s.login("alice")
	for _, path := range []string{"/user/alice/lab/tree/a%2Fb.ipynb", "/user/alice/proxy/9001/https://example.org"} {
		if r := s.raw("GET", path, page); r.code != 302 || r.get("Location") != "/hub"+path {
			t.Errorf("%s: %d to %q", path, r.code, r.get("Location"))
		}
		if r := alice.visit("/hub" + path); r.code == 400 || r.code == 404 {
			t.Errorf("/hub%s: %d", path, r.code)
		}
	}
}
