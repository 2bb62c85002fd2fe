package dataplane

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

const page = "Accept: text/html,application/xhtml+xml"

func TestWithoutAServer(t *testing.T) {
	s := newEnv(t)
	for _, c := range []struct {
		name, method, path string
		headers            []string
		code               int
		location           string
	}{
		{"a page is sent to where it can be started", "GET", "/user/alice/lab", []string{page}, 302, "/hub/user/alice/lab"},
		{"its query goes along", "GET", "/user/alice/lab?reset=1", []string{page}, 302, "/hub/user/alice/lab?reset=1"},
		{"without a slash too", "GET", "/user/alice", []string{page}, 302, "/hub/user/alice"},
		{"an API call reads JupyterLab's own sign of a stopped server", "GET", "/user/alice/api/kernels", nil, 424, ""},
		{"a form is not redirected", "POST", "/user/alice/lab", []string{page, "Content-Length: 0"}, 424, ""},
		{"a websocket is not redirected", "GET", "/user/alice/api/kernels/1/channels",
			[]string{"Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 424, ""},
		{"the root leads to the hub", "GET", "/", []string{page}, 302, "/hub/"},
		{"so does the hub without its slash", "GET", "/hub", []string{page}, 302, "/hub/"},
		{"an unknown page is 404", "GET", "/nowhere", []string{page}, 404, ""},
		{"an unknown page of the hub is 404 and no loop", "GET", "/hub/nowhere/x", []string{page}, 404, ""},
		{"hub under hub is no loop", "GET", "/hub/hub/user/alice", []string{page}, 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := s.raw(c.method, c.path, c.headers...)
			if r.code != c.code || r.get("Location") != c.location {
				t.Errorf("%s %s = %d to %q, want %d to %q\n%s", c.method, c.path, r.code, r.get("Location"), c.code, c.location, r.header)
			}
			if c.code == 424 && (!strings.HasPrefix(r.get("Content-Type"), "application/json") || !strings.Contains(r.body, `"message"`)) {
				t.Errorf("424 without a JSON message: %s %q", r.get("Content-Type"), r.body)
			}
		})
	}
}

// P9, H9: only the platform's own names are answered, exactly as written.
func TestP9_OtherHostsAreNotAnswered(t *testing.T) {
	s := newEnv(t)
	s.addPod("p", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	s.routed("/user/alice/api", true)
	for host, want := range map[string]int{
		"hub.test:8000": 302, "HUB.TEST:8000": 302, // negative control: these are ours
		"evil.test": 404, "hub.test.:8000": 404, "hub.test.evil": 404, "xhub.test:8000": 404, "a,b": 404,
	} {
		if r := s.raw("GET", "/", "Host: "+host, page); r.code != want {
			t.Errorf("Host %s: %d, want %d", host, r.code, want)
		}
		if r := s.raw("GET", "/user/nobody/lab", "Host: "+host, page); want == 404 && r.code != 404 {
			t.Errorf("Host %s below /user/: %d, want 404", host, r.code)
		}
	}
}

// A load balancer asks with any name, and learns that Envoy is here and nothing else.
func TestHealthAnswersAnyHost(t *testing.T) {
	s := newEnv(t)
	s.addPod("p", server.ID{User: "health"}, newUpstream(t, "10.99.0.1", "health").addr)
	s.routed("/user/health/api", true) // a user of that name shares the scope
	for _, request := range []string{
		"GET /hub/health HTTP/1.1\r\nHost: 10.1.2.3:8000\r\n", "GET /hub/health HTTP/1.1\r\nHost: " + publicHost + "\r\n", "HEAD /hub/health HTTP/1.1\r\nHost: evil.test\r\n",
		"GET /hub/health HTTP/1.0\r\n", "GET /hub/health?x HTTP/1.0\r\nHost: x\r\n", "OPTIONS /hub/health HTTP/1.0\r\n",
	} {
		if r := s.rawBytes(request + "\r\n"); r.code != 200 || r.body != "" {
			t.Errorf("%q: %d %q, want 200 without a word", request, r.code, r.body)
		}
	}
	for _, path := range []string{"/", "/hub/healthx", "/hub/health/x", "/health", "/hub/"} { // negative control
		if r := s.raw("GET", path, "Host: 10.1.2.3:8000"); r.code != 404 {
			t.Errorf("%s by an address: %d, want 404", path, r.code)
		}
	}
	if r := s.raw("GET", "/hub/health", "Host: 10.1.2.3"); r.get("Set-Cookie") != "" || r.get("Location") != "" {
		t.Errorf("the answer says more: %v", r.header)
	}
}

// S14, S6: a browser reads nothing into what Envoy answers by itself.
func TestOwnRepliesAreHarmless(t *testing.T) {
	a := newAbuseEnv(t)
	answers := map[string]reply{
		"404 page": a.raw("GET", "/nowhere", page), "404": a.raw("GET", "/nowhere"), "424": a.raw("GET", "/user/dave/api"), "302": a.raw("GET", "/user/dave/lab", page),
		"400": a.raw("GET", "/user/alice/../x"), "405": a.raw("TRACE", "/user/alice/x"),
		"400 of the codec": a.rawBytes("GET /user/alice/x#y HTTP/1.1\r\nHost: " + publicHost + "\r\n\r\n"), "200": a.raw("GET", "/hub/health"),
		"431": a.raw("GET", "/user/alice/x", "X-Large: "+strings.Repeat("x", 70_000)),
	}
	for name, r := range answers {
		if !strings.HasPrefix(name, fmt.Sprint(r.code)) {
			t.Errorf("%s: answered %d", name, r.code)
		}
		if r.get("X-Content-Type-Options") != "nosniff" || !strings.Contains(r.get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", name, r.header)
		}
		if len(r.header.Values("Content-Security-Policy")) != 1 {
			t.Errorf("%s: several policies: %v", name, r.header)
		}
		if r.code >= 400 && r.body == "" {
			t.Errorf("%s: no word", name)
		}
	}
}
