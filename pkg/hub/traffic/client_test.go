package traffic

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/pki"
)

// replica is an authz that answers body with code.
type replica struct {
	code atomic.Int32
	body atomic.Pointer[string]
}

func (r *replica) set(t *testing.T, code int, report any) {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	body := string(text)
	r.body.Store(&body)
	r.code.Store(int32(code))
}

func start(t *testing.T, ca *pki.CA) (*replica, string) {
	t.Helper()
	conf, err := mtls.Server(ca.Issue(contract.NameGateway, time.Hour), []string{contract.NameSpawner})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(r.code.Load()))
		_, _ = w.Write([]byte(*r.body.Load()))
	}))
	srv.TLS = conf
	srv.StartTLS()
	t.Cleanup(srv.Close)
	r.set(t, http.StatusOK, says(99))
	return r, srv.Listener.Addr().String()
}

// TestAllReplicasOrNone: the answers count when all replicas answer; a failure is logged once.
func TestAllReplicasOrNone(t *testing.T) {
	ca := pki.New(t)
	one, first := start(t, ca)
	second, other := start(t, ca)
	conf, err := mtls.Client(ca.Issue(contract.NameSpawner, time.Hour), contract.NameGateway)
	if err != nil {
		t.Fatal(err)
	}
	targets, now, log := []string{first, other}, noon, &logs.Buffer{}
	c := New(func(context.Context) ([]string, error) { return targets, nil }, conf, func() time.Time { return now }, prometheus.NewRegistry(),
		slog.New(slog.NewJSONHandler(log, nil)))
	known := func(want time.Time) {
		t.Helper()
		c.ask(t.Context())
		if got, ok := c.Last(alice); ok == want.IsZero() || !got.Equal(want) {
			t.Errorf("%v, %v; want %v", got, ok, want)
		}
	}
	known(noon)
	now = now.Add(time.Minute)
	one.set(t, http.StatusOK, says(159))
	second.set(t, http.StatusOK, says(159, 10))
	known(noon.Add(50 * time.Second))
	for name, fail := range map[string]func(){
		"refuses":  func() { second.set(t, http.StatusServiceUnavailable, says(999)) },
		"garbage":  func() { second.set(t, http.StatusOK, "no report") },
		"no one":   func() { targets = nil },
		"not them": func() { targets = []string{first, "127.0.0.1:1"} },
	} {
		fail()
		now = now.Add(patience + time.Second)
		known(time.Time{})
		if name == "refuses" {
			now = now.Add(time.Second)
			known(time.Time{})
		}
	}
	if n := strings.Count(log.String(), "not all gateways"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	targets = []string{first, other}
	second.set(t, http.StatusOK, says(999, 900))
	known(now)
}

// TestX3_OnlyAuthzIsBelieved: a pod on an address that an authz had reports nothing.
func TestX3_OnlyAuthzIsBelieved(t *testing.T) {
	ca := pki.New(t)
	_, address := start(t, pki.New(t))
	conf, err := mtls.Client(ca.Issue(contract.NameSpawner, time.Hour), contract.NameGateway)
	if err != nil {
		t.Fatal(err)
	}
	c := New(func(context.Context) ([]string, error) { return []string{address}, nil }, conf, time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	c.ask(t.Context())
	if at, ok := c.Last(alice); ok {
		t.Errorf("a stranger says %v", at)
	}
}
