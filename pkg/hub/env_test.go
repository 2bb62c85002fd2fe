package hub

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

const token = "token-of-the-session"

// env is a hub over a cluster in memory, reached as the gateway would reach it.
type env struct {
	catalog spawn.Catalog
	quotas  map[string]spawn.Quota
	t       *testing.T
	cluster *memory.Cluster
	hub     *Hub
	changes atomic.Int64 // how often the hub asked for a start or a stop
	origin  string
	served  atomic.Bool // what the gateway says about routes
	refused sync.Map    // by pod UID: why the gateway refuses its route
	log     logs.Buffer
	board   pinboard
}

func newEnv(t *testing.T) *env { return newEnvAt(t, origin.Site{}) }

// newEnvAt is newEnv for servers on the hosts that site says.
func newEnvAt(t *testing.T, site origin.Site) *env {
	t.Helper()
	e := &env{t: t, catalog: spawn.Catalog{
		{DisplayName: "Jupyter <Lab>", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1", CPULimit: "0.5", MemLimit: "1G"}},
		{DisplayName: "GPU", Slug: "gpu", AllowedGroups: []string{"physics"}, Override: spawn.Override{Image: "example.org/gpu:1"}},
	}}
	e.cluster = memory.New(time.Now, memory.Settings{
		Site:         spawn.Site{Namespace: "servers"},
		Policy:       e.policy,
		StartTimeout: time.Minute, SpawnLimit: 2,
	})
	e.served.Store(true)
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	e.hub = New(counted{e.cluster, &e.changes}, e.waitServed, pages, slog.New(slog.NewTextHandler(&e.log, nil)), Settings{Site: site, Board: &e.board, Done: t.Context().Done()})
	// The access log's wrapper is between the server and the streams, as in production.
	srv := httptest.NewServer(telemetry.HTTP(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), "spawner", e.hub.Handler()))
	t.Cleanup(srv.Close)
	e.origin = srv.URL
	return e
}

// policy is what users are due at this moment.
func (e *env) policy() spawn.Policy {
	if e.quotas == nil {
		return spawn.Policy{Profiles: e.catalog}
	}
	p, faults := spawn.Document{Profiles: e.catalog, Quotas: e.quotas}.Policy()
	if len(faults) > 0 {
		e.t.Error(faults)
	}
	return p
}

// waitServed is the gateway's word about routes.
func (e *env) waitServed(ctx context.Context, _ server.ID, uid string) error {
	if why, ok := e.refused.Load(uid); ok {
		return &spawn.Problem{Message: spawn.MsgRouteRefused, Err: why.(error)}
	}
	if wait.Poll(time.Minute, func() bool { return e.served.Load() && uid != "" || ctx.Err() != nil }); ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

// counted counts what would change a cluster.
type counted struct {
	Cluster
	changes *atomic.Int64
}

func (c counted) Start(ctx context.Context, r spawn.Request) error {
	c.changes.Add(1)
	return c.Cluster.Start(ctx, r)
}

func (c counted) Stop(ctx context.Context, id server.ID, wait time.Duration) (bool, error) {
	c.changes.Add(1)
	return c.Cluster.Stop(ctx, id, wait)
}

// request is one request of alice unless said otherwise.
type request struct {
	method, path string
	headers      []string // key, value, …; a value of "-" takes the header away
	form         url.Values
	body         string
}

func (e *env) send(r request) *http.Response {
	e.t.Helper()
	body := r.body
	if r.form != nil {
		body = r.form.Encode()
	}
	req, err := http.NewRequestWithContext(e.t.Context(), r.method, e.origin+r.path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	req.Header.Set(contract.HeaderUser, "alice")
	req.Header.Set(contract.HeaderXSRF, token)
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(r.headers); i += 2 {
		if r.headers[i+1] == "-" {
			req.Header.Del(r.headers[i])
			continue
		}
		req.Header.Add(r.headers[i], r.headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (e *env) get(path string, headers ...string) (int, string, string) {
	e.t.Helper()
	return e.read(e.send(request{method: "GET", path: path, headers: headers}))
}

// post sends a form with the right token.
func (e *env) post(path string, form url.Values, headers ...string) (int, string, string) {
	e.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set(contract.XSRFName, token)
	return e.read(e.send(request{method: "POST", path: path, form: form, headers: headers}))
}

// api calls the REST API with the right token.
func (e *env) api(method, path, body string, headers ...string) (int, string, string) {
	e.t.Helper()
	h := append([]string{contract.XSRFHeader, token}, headers...)
	if body != "" {
		h = append(h, "Content-Type", "application/json")
	}
	return e.read(e.send(request{method: method, path: path, headers: h, body: body}))
}

func (e *env) read(resp *http.Response) (int, string, string) {
	e.t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Location"), string(body)
}

// become lets something become of a user's default server.
func (e *env) become(user string, change func(*corev1.Pod)) {
	e.t.Helper()
	if !e.cluster.Change(server.ID{User: user}, change) {
		e.t.Fatalf("%s's server has no pod", user)
	}
}

// change lets something become of alice's server of that name.
func (e *env) change(name string, change func(*corev1.Pod)) {
	e.t.Helper()
	if !e.cluster.Change(server.ID{User: "alice", Name: name}, change) {
		e.t.Fatalf("alice's server %q has no pod", name)
	}
}
