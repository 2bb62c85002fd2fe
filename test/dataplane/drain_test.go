package dataplane

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	drain "github.com/perijove/perijove/envoy/drain/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/wait"
)

// startDrain drains the env's Envoy in the background.
func (s *env) startDrain(limit time.Duration) <-chan int {
	done := make(chan int, 1)
	go func() {
		left, err := drain.Run(context.Background(), drain.Options{
			Admin: s.envoy.Admin, StatPrefix: contract.ListenerName, Settle: 300 * time.Millisecond, Limit: limit, Poll: 20 * time.Millisecond,
		})
		if err != nil {
			s.t.Errorf("drain: %v", err)
		}
		done <- left
	}()
	return done
}

// R7: a draining Envoy is unready at once and refuses nobody; open websockets, over
// HTTP/1.1 and HTTP/2, live on, and when the last one has gone Envoy may stop.
func TestR7_DrainWaitsForOpenWebsockets(t *testing.T) {
	s, alice := withAliceOverTLS(t)
	one, two := dialEcho(t, alice, "HTTP/1.1"), dialEcho(t, alice.overH2(), "HTTP/2")
	// Negative control: before, a connection is kept.
	if r := s.newPerson().fetch("GET", "/hub/login"); r.get("Connection") == "close" {
		t.Fatal("connections are closed without a drain")
	}

	done := s.startDrain(time.Minute)
	wait.Until(s.t, "readiness fails", func() bool { return !s.envoy.IsReady() })
	closed := alice.fetch("GET", "/user/alice/api")
	if closed.code != 200 {
		t.Errorf("a draining Envoy answers %d", closed.code)
	}
	for range 50 {
		if r := s.newPerson().fetch("GET", "/hub/login"); r.code != 200 {
			t.Fatalf("a new client is answered %d", r.code)
		}
	}
	echoes(t, one, "HTTP/1.1 while Envoy drains")
	echoes(t, two, "HTTP/2 while Envoy drains")
	late := dialEcho(t, s.again(alice), "HTTP/1.1, opened late")
	for _, conn := range []*websocket.Conn{one, two} {
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}
	echoes(t, late, "the last one")
	select {
	case left := <-done:
		t.Fatalf("the drain ended with a websocket open (%d counted)", left)
	default:
	}
	_ = late.Close(websocket.StatusNormalClosure, "")
	if left := <-done; left != 0 {
		t.Errorf("%d left after the last one closed", left)
	}
}

// again is the same person with connections of their own: the old ones were asked to
// close.
func (s *env) again(p *person) *person {
	n := s.newPerson()
	n.http.Jar = p.http.Jar
	return n
}

// R7: at the end of its time Envoy stops, and clients notice at once, so that
// JupyterLab connects to another gateway.
func TestR7_WebsocketsEndWhenTheTimeIsOver(t *testing.T) {
	s, alice := withAliceOverTLS(t)
	conn := dialEcho(t, alice, "HTTP/1.1")
	if left := <-s.startDrain(time.Second); left != 1 {
		t.Errorf("%d requests left, want the one websocket", left)
	}
	echoes(t, conn, "until Envoy stops")
	s.envoy.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the client does not notice that Envoy stopped: %v", err)
	}
}

// R7: two gateways behind one Service; one is drained and stopped while requests run.
// Whoever follows readiness, as a Service does, sees no error.
func TestR7_RollingUpdateFailsNoRequest(t *testing.T) {
	s, alice := withAliceOverTLS(t)
	clients := map[bool]*http.Client{true: s.clientAt(publicAddr, alice), false: s.clientAt(s.startSecondGateway(), alice)}
	var failed, served atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			first := s.envoy.IsReady() // what the endpoints of a Service follow
			code, err := get(clients[first], s.base()+"/user/alice/api")
			if err != nil || code != http.StatusOK {
				failed.Add(1)
				t.Logf("first gateway %v: %d, %v", first, code, err)
				continue
			}
			served.Add(1)
		}
	}()
	wait.Until(s.t, "requests run", func() bool { return served.Load() > 20 })
	<-s.startDrain(time.Minute)
	s.envoy.Stop()
	before := served.Load()
	wait.Until(s.t, "requests go on at the other gateway", func() bool { return served.Load() > before+20 })
	cancel()
	<-done
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, served.Load()+n)
	}
}

// startSecondGateway runs another gateway and returns where it answers.
func (s *env) startSecondGateway() string {
	s.t.Helper()
	s.launchSecondGateway().Ready(s.t)
	return "127.0.0.1:8001"
}

// launchSecondGateway runs another Envoy with an xds-server of its own.
func (s *env) launchSecondGateway() *envoyproc.Envoy {
	s.t.Helper()
	cfg := s.xdsConfig()
	cfg.Listen = xdsapp.Listen{XDS: "unix:" + s.path("xds2.sock"), Private: "127.0.0.1:9121"}
	cfg.Envoy.Port, cfg.Envoy.TLS.RedirectPort = 8001, 0
	s.run("second xds-server", func(ctx context.Context, log *slog.Logger) error {
		return xdsapp.RunWith(ctx, cfg, s.client, log)
	})
	return envoyproc.Start(s.t, envoyproc.Options{Node: "envoy-2", XDSSock: s.path("xds2.sock"), TLS: s.gate})
}

// clientAt is a person's browser at one gateway.
func (s *env) clientAt(addr string, p *person) *http.Client {
	transport := &http.Transport{TLSClientConfig: s.trust.Clone(), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: p.http.Jar, Transport: transport}
}

// get is safe in any goroutine.
func get(c *http.Client, url string) (int, error) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}
