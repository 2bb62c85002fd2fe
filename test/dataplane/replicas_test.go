package dataplane

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/internal/envoyproc"
	"github.com/perijove/perijove/test/wait"
)

const sharedAddr = "127.0.0.1:8001" // all Envoys of a replicasEnv listen here; the kernel spreads connections

// replicasEnv is several xds-servers behind one name, and Envoys that know that name only.
type replicasEnv struct {
	*env
	servers []*replica
	envoys  []*envoyproc.Envoy
}

// replica is one xds-server.
type replica struct {
	f             *replicasEnv
	name          string
	xds, private  string
	stop, restart func()
}

func newReplicasEnv(t *testing.T, servers, envoys int) *replicasEnv {
	t.Helper()
	f := &replicasEnv{env: newEnv(t)}
	for i := range servers {
		r := &replica{f: f, name: fmt.Sprintf("replica-%d", i), xds: fmt.Sprintf("127.0.0.1:%d", 18100+i), private: fmt.Sprintf("127.0.0.1:%d", 9150+i)}
		r.restart = func() { r.stop = r.start() }
		r.restart()
		f.servers = append(f.servers, r)
	}
	for i := range envoys {
		e := envoyproc.Start(t, envoyproc.Options{Node: fmt.Sprintf("replicas-%d", i), XDSSock: "/nowhere", TLS: f.gate, Edit: f.bootstrap})
		f.envoys = append(f.envoys, e)
	}
	for _, e := range f.envoys {
		e.Ready(t)
	}
	return f
}

func (r *replica) start() (stop func()) {
	cfg := r.f.xdsConfig()
	cfg.Listen = xdsapp.Listen{XDS: r.xds, Private: r.private}
	cfg.Clients = xdsapp.Clients{XDS: []string{contract.NameGateway}}
	cfg.Envoy.Port = 8001
	return r.f.run(r.name, func(ctx context.Context, log *slog.Logger) error {
		return xdsapp.RunWith(ctx, cfg, r.f.client, log)
	})
}

// envoysOf asks a replica how many Envoys are connected to it.
func (r *replica) envoysOf() string {
	m := regexp.MustCompile(`(?m)^perijove_xds_envoys (\d+)$`).FindStringSubmatch(httpGet(r.f.t, "http://"+r.private+"/metrics"))
	if m == nil {
		return ""
	}
	return m[1]
}

// bootstrap points an Envoy at every replica, as a Service's name would.
func (f *replicasEnv) bootstrap(text string) string {
	f.t.Helper()
	sidecar := regexp.MustCompile(`(?s)  - name: xds\n.*?(  - name: admin\n)`)
	text = sidecar.ReplaceAllLiteralString(text, remoteCluster(f.t)+"  - name: admin\n")
	one := regexp.MustCompile(`\{ endpoint: \{ address: \{ socket_address: \{ address: 127\.0\.0\.1, port_value: 18000 \} \} \} \}`)
	if !one.MatchString(text) {
		f.t.Fatal("the cluster of envoy/README.md has another form")
	}
	var all []string
	for _, r := range f.servers {
		_, port, _ := net.SplitHostPort(r.xds)
		all = append(all, fmt.Sprintf("{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %s } } } }", port))
	}
	return one.ReplaceAllLiteralString(text, strings.Join(all, ", "))
}

// state is what an Envoy has: every dynamic resource, without the time of its arrival.
func (f *replicasEnv) state(e *envoyproc.Envoy) string {
	f.t.Helper()
	var dump struct {
		Configs []map[string]any `json:"configs"`
	}
	if err := json.Unmarshal([]byte(e.AdminGet(f.t, "/config_dump")), &dump); err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, config := range dump.Configs {
		for key, list := range config {
			items, ok := list.([]any)
			if !ok || !strings.HasPrefix(key, "dynamic_") {
				continue
			}
			for _, item := range items {
				forgetTimes(item)
				for _, one := range apart(item) {
					text, err := json.Marshal(one)
					if err != nil {
						f.t.Fatal(err)
					}
					out = append(out, key+" "+string(text))
				}
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// apart returns the scopes of a dump's entry, or the entry itself: Envoy lists scopes in
// no order.
func apart(item any) []any {
	if scopes, ok := item.(map[string]any)["scoped_route_configs"].([]any); ok {
		return scopes
	}
	return []any{item}
}

// forgetTimes takes out when Envoy took a resource, and the mark by which a scope that is sent
// anew differs from what Envoy may list already: no filter reads it.
func forgetTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "last_updated")
		metadata, _ := v["metadata"].(map[string]any)
		if filters, _ := metadata["filter_metadata"].(map[string]any); filters["perijove.sent"] != nil {
			delete(v, "metadata")
		}
		for _, below := range v {
			forgetTimes(below)
		}
	case []any:
		for _, below := range v {
			forgetTimes(below)
		}
	}
}

// traffic asks for alice's server, on a new connection each time, until stopped.
type traffic struct {
	served, failed atomic.Int64
	stop           func()
}

func (f *replicasEnv) startTraffic(alice *person) *traffic {
	tr := &traffic{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialShared}}
	cookie := alice.cookies("/user/alice/")
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for ctx.Err() == nil {
				if err := askAlice(client, cookie); err != nil {
					tr.failed.Add(1)
					f.t.Logf("request: %v", err)
				} else {
					tr.served.Add(1)
				}
			}
		})
	}
	tr.stop = func() { cancel(); running.Wait() }
	f.t.Cleanup(tr.stop)
	return tr
}

func dialShared(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, sharedAddr)
}

func askAlice(client *http.Client, cookie string) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+publicHost+"/user/alice/api", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Cookie", cookie)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var got seen
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != http.StatusOK || got.Marker != "alice" {
		return fmt.Errorf("%s from %q, %v", resp.Status, got.Marker, err)
	}
	return nil
}

// startChurn makes people come and go until stopped; it returns how many have come.
func (f *replicasEnv) startChurn(addr string) (count *atomic.Int64, stop func()) {
	count = &atomic.Int64{}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			f.addPod(fmt.Sprintf("churn-%d", i), server.ID{User: fmt.Sprintf("guest-%d", i)}, addr)
			if i >= 20 {
				f.deletePod(fmt.Sprintf("churn-%d", i-20))
			}
			count.Add(1)
			time.Sleep(5 * time.Millisecond)
		}
	}()
	stop = func() { cancel(); <-done }
	f.t.Cleanup(stop)
	return count, stop
}

// Two xds-servers, four Envoys, people coming and going: either server may die and
// come back, no request fails, no websocket drops, and in the end all have the same.
func TestEitherXDSServerMayDie(t *testing.T) {
	f := newReplicasEnv(t, 2, 4)
	f.addPod("jupyter-alice", server.ID{User: "alice"}, newUpstream(t, "10.99.0.1", "alice").addr)
	f.routed("/user/alice/api", true)
	alice := f.login("alice")
	alice.visit("/user/alice/lab")
	for _, e := range f.envoys {
		wait.Until(f.t, "every Envoy knows alice", func() bool { return strings.Contains(e.AdminGet(t, "/config_dump"), `"/user/alice"`) })
	}
	conns := f.websockets(alice, 16)
	requests := f.startTraffic(alice)
	guests, stopChurn := f.startChurn(newUpstream(t, "10.99.0.2", "guest").addr)
	alive := func(when string) {
		t.Helper()
		for i, c := range conns {
			echoes(t, c, fmt.Sprintf("%s: websocket %d", when, i))
		}
		if n := requests.failed.Load(); n > 0 {
			t.Errorf("%s: %d requests failed", when, n)
		}
	}
	for round, dies := range []*replica{f.servers[0], f.servers[1]} {
		stays := f.servers[1-round]
		before, served := guests.Load(), requests.served.Load()
		dies.stop()
		wait.Within(f.t, 40*time.Second, "all Envoys went to "+stays.name, func() bool { return stays.envoysOf() == "4" })
		wait.Until(f.t, "people came meanwhile", func() bool { return guests.Load() > before+20 && requests.served.Load() > served+20 })
		alive(dies.name + " is dead")
		dies.restart()
		wait.Until(f.t, dies.name+" is back", func() bool { return ready(dies.private) })
		alive(dies.name + " is back")
	}
	stopChurn()
	f.sameEverywhere(fmt.Sprintf("guest-%d", guests.Load()-1))
	requests.stop()
	alive("at the end")
	t.Logf("%d people came, %d requests, none failed", guests.Load(), requests.served.Load())
}

// websockets opens n of them, spread over the replicas.
func (f *replicasEnv) websockets(p *person, n int) (out []*websocket.Conn) {
	f.t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: dialShared}}
	for range n {
		header := http.Header{"Origin": {f.base()}, "Cookie": {p.cookies("/user/alice/")}}
		conn, _, err := websocket.Dial(f.t.Context(), f.base()+"/user/alice/ws", &websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = conn.CloseNow() })
		out = append(out, conn)
	}
	return out
}

// sameEverywhere waits until every Envoy has the last resource, and compares them all.
func (f *replicasEnv) sameEverywhere(last string) {
	f.t.Helper()
	var states []string
	wait.Until(f.t, "all Envoys have the same resources", func() bool {
		states = nil
		for _, e := range f.envoys {
			states = append(states, f.state(e))
		}
		return strings.Contains(states[0], last) && !slices.ContainsFunc(states, func(s string) bool { return s != states[0] })
	})
	if n := strings.Count(states[0], "\n"); n < 25 {
		f.t.Errorf("only %d resources were compared:\n%s", n, states[0])
	}
	if strings.Contains(states[0], `guest-0"`) {
		f.t.Error("somebody who left long ago is still there")
	}
}

// A difference between two Envoys is seen: the negative control of the comparison.
func TestStatesOfDifferentEnvoysDiffer(t *testing.T) {
	f := newReplicasEnv(t, 1, 1)
	before := f.state(f.envoys[0])
	f.addPod("jupyter-alice", server.ID{User: "alice"}, "10.99.0.1:8888")
	wait.Until(f.t, "alice is part of it", func() bool { return cmp.Diff(before, f.state(f.envoys[0])) != "" })
}
