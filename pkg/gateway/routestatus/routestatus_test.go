package routestatus_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/gateway/routestatus"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/pki"
)

// gateway is one xds-server's answer; it holds the question only if told to.
type gateway struct {
	status atomic.Pointer[routestatus.Status]
	hold   atomic.Bool
}

func (g *gateway) Wait(ctx context.Context, _ server.ID, _ string) routestatus.Status {
	if g.hold.Load() {
		<-ctx.Done()
	}
	return *g.status.Load()
}

func (g *gateway) set(envoys int, served bool) {
	g.status.Store(&routestatus.Status{Envoys: envoys, Served: served})
}

func start(t *testing.T, files mtls.Files) (*gateway, string) {
	t.Helper()
	g := &gateway{}
	g.set(1, false)
	conf, err := mtls.Server(files, []string{"spawner"})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(routestatus.Handler(g))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.Listener = tls.NewListener(l, conf)
	srv.Start()
	t.Cleanup(srv.Close)
	return g, l.Addr().String()
}

func TestServedMeansEveryReachableGatewayAndAtLeastOneEnvoy(t *testing.T) {
	ca := pki.New(t)
	files := ca.Issue("gateway", time.Hour)
	a, addrA := start(t, files)
	b, addrB := start(t, files)
	conf, err := mtls.Client(ca.Issue("spawner", time.Hour), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{addrA, addrB, "127.0.0.1:1"} // the last is a dead replica
	client := routestatus.NewClient(func(context.Context) ([]string, error) { return targets, nil }, conf)
	served := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer cancel()
		return client.WaitServed(ctx, server.ID{User: "al ice", Name: "x"}, "uid") == nil
	}
	for _, c := range []struct {
		name             string
		envoysA, envoysB int
		servedA, servedB bool
		want             bool
	}{
		{"both have it", 1, 1, true, true, true},
		{"one is behind", 1, 1, true, false, false},
		{"one has no Envoy: it routes no request", 1, 0, true, false, true},
		{"no replica has an Envoy", 0, 0, false, false, false},
	} {
		a.set(c.envoysA, c.servedA)
		b.set(c.envoysB, c.servedB)
		if got := served(); got != c.want {
			t.Errorf("%s: served = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWaitServedReturnsOnceTheAnswerTurns(t *testing.T) {
	ca := pki.New(t)
	g, addr := start(t, ca.Issue("gateway", time.Hour))
	conf, err := mtls.Client(ca.Issue("spawner", time.Hour), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	client := routestatus.NewClient(func(context.Context) ([]string, error) { return []string{addr}, nil }, conf)
	time.AfterFunc(150*time.Millisecond, func() { g.set(1, true) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := client.WaitServed(ctx, server.ID{User: "alice"}, "uid"); err != nil {
		t.Error(err)
	}
}

// TestRefusalIsToldAtOnce: one gateway refuses while another still holds the question. The
// negative control is that other gateway alone: it says nothing.
func TestRefusalIsToldAtOnce(t *testing.T) {
	ca := pki.New(t)
	files := ca.Issue("gateway", time.Hour)
	slow, slowAddr := start(t, files)
	slow.hold.Store(true)
	bad, badAddr := start(t, files)
	bad.status.Store(&routestatus.Status{Envoys: 1, Refused: &routestatus.Refusal{Version: "v7", Reason: "too <long>"}})
	conf, err := mtls.Client(ca.Issue("spawner", time.Hour), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	ask := func(patience time.Duration, targets ...string) (time.Duration, error) {
		client := routestatus.NewClient(func(context.Context) ([]string, error) { return targets, nil }, conf)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		begin := time.Now()
		err := client.WaitServed(ctx, server.ID{User: "alice"}, "uid")
		return time.Since(begin), err
	}
	took, err := ask(time.Minute, slowAddr, badAddr)
	var refusal *routestatus.Refusal
	if !errors.As(err, &refusal) || *refusal != (routestatus.Refusal{Version: "v7", Reason: "too <long>"}) || took > 3*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	if _, err := ask(200*time.Millisecond, slowAddr); err == nil || errors.As(err, &refusal) {
		t.Errorf("without a refusal: %v", err)
	}
}
