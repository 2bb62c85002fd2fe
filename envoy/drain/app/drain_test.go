package app

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// admin is an Envoy's admin port: it answers the next of counts each time.
type admin struct {
	mu     sync.Mutex
	asked  []string
	counts []int
	fails  string // path that is refused
}

func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
	switch {
	case r.URL.Path == a.fails:
		w.WriteHeader(http.StatusInternalServerError)
	case r.URL.Path == "/stats":
		n := a.counts[0]
		if len(a.counts) > 1 {
			a.counts = a.counts[1:]
		}
		fmt.Fprintf(w, `{"stats":[{"name":"http.public.downstream_rq_active","value":%d}]}`, n)
	}
}

func start(t *testing.T, a *admin) Options {
	t.Helper()
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	return Options{Admin: strings.TrimPrefix(srv.URL, "http://"), StatPrefix: "public", Settle: time.Millisecond, Limit: time.Minute, Poll: time.Millisecond}
}

func TestWaitsUntilNobodyIsServed(t *testing.T) {
	a := &admin{counts: []int{3, 1, 1, 0}}
	left, err := Run(t.Context(), start(t, a))
	if err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	if len(a.counts) != 1 {
		t.Errorf("it did not wait: still to come %v", a.counts)
	}
	if len(a.asked) < 3 || a.asked[0] != "POST /healthcheck/fail?" || a.asked[1] != "POST /drain_listeners?graceful&skip_exit" {
		t.Errorf("asked %v: readiness must fail first, and nothing may exit", a.asked)
	}
}

func TestTheLimitEndsTheWait(t *testing.T) {
	o := start(t, &admin{counts: []int{2}})
	o.Limit = 50 * time.Millisecond
	if left, err := Run(t.Context(), o); err != nil || left != 2 {
		t.Errorf("%d left, %v, want 2", left, err)
	}
	o.Settle = time.Hour
	if left, err := Run(t.Context(), o); err != nil || left != 2 {
		t.Errorf("settling: %d left, %v, want 2", left, err)
	}
}

func TestAnEnvoyThatIsGoneIsNotWaitedFor(t *testing.T) {
	for _, path := range []string{"/healthcheck/fail", "/drain_listeners", "/stats"} {
		if _, err := Run(t.Context(), start(t, &admin{counts: []int{1}, fails: path})); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s fails: %v", path, err)
		}
	}
	if _, err := Run(t.Context(), Options{Admin: "127.0.0.1:1", Limit: time.Minute}); err == nil {
		t.Error("no Envoy there, and no error")
	}
}

func TestActive(t *testing.T) {
	if n, err := active([]byte(`{"stats":[]}`), "x"); n != 0 || err != nil {
		t.Errorf("an Envoy without a listener: %d, %v", n, err)
	}
	if _, err := active([]byte(`<html>`), "x"); err == nil {
		t.Error("a page that is no statistics was accepted")
	}
}
