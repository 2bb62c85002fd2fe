package dataplane

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// A user who only types into an open terminal stays logged in, over each protocol. D9: one whose
// forgotten tab does nothing but answer the server's pings is logged out in time.
func TestD9_InputKeepsASession(t *testing.T) {
	s := newTLSEnvWith(t, func(s *env) { s.sessionIdle = 5 * contract.InputEvery / 2 })
	s.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	// The session of the forgotten tab is the youngest: without input the others end before it.
	typist, modern, forgotten := s.login("alice"), s.login("alice"), s.login("alice")
	for _, p := range []*person{typist, modern, forgotten} {
		wait.Until(t, "alice's server answers", func() bool { return p.visit("/user/alice/lab").code == http.StatusOK })
	}
	for protocol, p := range map[string]*person{"HTTP/1.1": typist, "HTTP/2": modern.overH2()} {
		typing(t, dialEcho(t, p, protocol))
	}
	quiet, code, err := forgotten.dial("/user/alice/ws?ping", s.base())
	if err != nil {
		t.Fatalf("websocket of the forgotten tab: %d, %v", code, err)
	}
	over := quiet.CloseRead(t.Context())

	loggedIn := func(p *person) bool { return p.fetch("GET", "/hub/api/user").code == http.StatusOK }
	s.stopAuthz() // a new one remembers no websocket, and whose they are all the same
	s.startAuthz()
	wait.Until(t, "authz is back", func() bool { return loggedIn(forgotten) })
	wait.Within(t, time.Minute, "the session of the forgotten tab ends", func() bool { return !loggedIn(forgotten) })
	if over.Err() != nil {
		t.Fatal("the forgotten tab's websocket is not open: it shows nothing")
	}
	if !loggedIn(typist) || !loggedIn(modern) {
		t.Errorf("logged out while typing: over HTTP/1.1 %v, over HTTP/2 %v", !loggedIn(typist), !loggedIn(modern))
	}
	reports := regexp.MustCompile(`perijove_authz_websocket_reports_total\{result="([a-z]+)"\}`).FindAllStringSubmatch(httpGet(t, "http://127.0.0.1:9102/metrics"), -1)
	for _, r := range reports {
		if r[1] == "malformed" || r[1] == "full" {
			t.Errorf("authz has %s reports", r[1])
		}
	}
	for line := range strings.Lines(string(readFile(t, s.envoy.Log))) {
		if strings.Contains(line, "/user/alice/ws") {
			t.Errorf("Envoy's log has a line for a websocket that is open: %s", line)
		}
	}
}

// typing sends a few letters a second, each a frame as a terminal sends it, and reads the echo.
func typing(t *testing.T, conn *websocket.Conn) {
	ctx := t.Context()
	every := time.NewTicker(200 * time.Millisecond)
	t.Cleanup(every.Stop)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			if conn.Write(ctx, websocket.MessageText, []byte(`["stdin","x"]`)) != nil {
				return
			}
			if _, _, err := conn.Read(ctx); err != nil {
				return
			}
		}
	}()
}
