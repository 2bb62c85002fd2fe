package dataplane

import (
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
