package dataplane

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/test/abuse"
)

// A client of HTTP/1.0 (ab, nginx's proxy_pass, health checks) is served as one of HTTP/1.1:
// the same judgement, and an answer that it can read.
func TestHTTP10(t *testing.T) {
	a := newAbuseEnv(t)
	before := len(a.alices.requests())
	raw := func(request string) reply { return a.rawBytes(request) }
	head := " HTTP/1.0\r\nHost: " + publicHost + "\r\n"
	cookie := "Cookie: " + a.alice.Cookie + "\r\n"

	r := raw("GET /user/alice/ten" + head + cookie + "\r\n")
	if r.code != 200 || !strings.Contains(r.body, `"path":"/user/alice/ten"`) || len(r.header.Values("Transfer-Encoding")) != 0 {
		t.Errorf("alice at her server: %d %s, %v", r.code, r.body, r.header)
	}
	if r := raw("GET /user/alice/ten" + head + "\r\n"); r.code != 401 {
		t.Errorf("without a session: %d, want 401", r.code)
	}
	if r := raw("GET /user/alice/ten" + head + "Cookie: " + a.bob.Cookie + "\r\n\r\n"); r.code != 403 && r.code != 401 {
		t.Errorf("bob: %d, want a refusal", r.code)
	}
	if r := raw("GET /hub/login" + head + page + "\r\n\r\n"); r.code != 200 {
		t.Errorf("the login page: %d", r.code)
	}
	for name, request := range map[string]string{ // RFC 9112 §3.2, P9: no name of ours
		"400 without a host":    "GET /user/alice/ten HTTP/1.0\r\n" + cookie + "\r\n",
		"404 with another host": "GET /user/alice/ten HTTP/1.0\r\nHost: evil.test\r\n" + cookie + "\r\n",
	} {
		if r := raw(request); !strings.HasPrefix(name, strconv.Itoa(r.code)) {
			t.Errorf("%s: %d", name, r.code)
		}
	}
	if n := len(a.alices.requests()) - before; n != 1 {
		t.Errorf("%d requests reached alice's pod, want her own", n)
	}
}

// H7: HTTP/1.0 has no chunks (RFC 9112 §6.1) and no upgrade (RFC 6455 §4.1). What follows such
// a request on the connection is never taken for another one.
func TestH7_HTTP10HasNoChunksAndNoUpgrade(t *testing.T) {
	a := newAbuseEnv(t)
	before := len(a.alices.requests())
	smuggled := "GET /user/alice/smuggled HTTP/1.1\r\nHost: " + publicHost + "\r\nCookie: " + a.alice.Cookie + "\r\n\r\n"
	for name, lines := range map[string]string{
		"chunks":            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + smuggled,
		"upgrade":           "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " + origin + "\r\n\r\n" + smuggled,
	} {
		text := "GET /user/alice/ten HTTP/1.0\r\nHost: " + publicHost + "\r\nCookie: " + a.alice.Cookie + "\r\n" + lines
		if answers := exchange(t, text); len(answers) > 1 || len(answers) == 1 && answers[0] == http.StatusSwitchingProtocols {
			t.Errorf("%s: answers %v, want one, and no upgrade", name, answers)
		}
	}
	for _, r := range a.alices.requests()[before:] {
		if strings.Contains(r.Path, "smuggled") {
			t.Errorf("alice's pod received %s", r.Path)
		}
	}
	if answer, ok := send(t, "HTTP/1.1", abuse.Tunnels(a.nobody, a.bob, a.alice)[0].Twin.Marked("X-A", "b")); !ok || answer.Code != 101 { // negative control
		t.Errorf("the same upgrade over HTTP/1.1: %d", answer.Code)
	}
}

// exchange writes text and returns the codes of all answers until the edge closes.
func exchange(t *testing.T, text string) (codes []int) {
	t.Helper()
	conn, err := net.Dial("tcp", publicAddr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, text)
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return codes
		}
		codes = append(codes, resp.StatusCode)
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return codes
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}
