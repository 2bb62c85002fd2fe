package diskspace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const (
	token   = "token-of-the-reader"
	summary = `{"node": {"nodeName": "n"}, "pods": [{"podRef": {"name": "p", "uid": "u"},
		"containers": [{"name": "helper", "cpu": {"usageNanoCores": 7}}, {"name": "notebook", "cpu": {"usageNanoCores": 1234567890}, "memory": {"workingSetBytes": 8192, "usageBytes": 9}}], "volume": [{"name": "tmp", "usedBytes": 1}, {"name": "late", "availableBytes": 7, "capacityBytes": 9},
		{"name": "home", "pvcRef": {"name": "home-alice", "namespace": "servers"}, "availableBytes": 40, "capacityBytes": 100, "usedBytes": 60, "inodes": 5}]}]}`
)

// kubelet is a node under test.
type kubelet struct {
	addr   netip.AddrPort
	asked  atomic.Int64
	answer atomic.Value // http.HandlerFunc
	tokens sync.Map
}

// newKubelet listens with a certificate of ca.
func newKubelet(t *testing.T, ca *pki.CA) *kubelet {
	t.Helper()
	files := ca.Issue("node", time.Hour)
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	k := &kubelet{}
	k.says(summary)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.asked.Add(1)
		k.tokens.Store(r.Header.Get("Authorization"), true)
		if r.Method != http.MethodGet || r.URL.Path != "/stats/summary" {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		k.answer.Load().(http.HandlerFunc)(w, r)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	k.addr = netip.MustParseAddrPort(srv.Listener.Addr().String())
	return k
}

func (k *kubelet) says(body string) {
	k.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }))
}

// clock is a clock that a test moves.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(c.Load(), 0) }

func nodes(k *kubelet, roots *x509.CertPool) (*Nodes, *clock, *logs.Buffer) {
	at, log := &clock{}, &logs.Buffer{}
	return New(Settings{
		Authority: roots, Port: k.addr.Port(), Now: at.now, Log: slog.New(slog.NewTextHandler(log, nil)),
		Token: func(context.Context) (string, error) { return token, nil },
	}), at, log
}

func (k *kubelet) home(user string) spawn.Mounted {
	return spawn.Mounted{Node: k.addr.Addr(), Namespace: "servers", Claim: "home-" + user}
}

// within asks with the time that a page has.
func within(t *testing.T, n *Nodes, v spawn.Mounted, limit time.Duration) (spawn.Space, bool) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return n.Space(ctx, v)
}

// TestOneQuestionInAWhile: however many pages ask, a node is asked once in a quarter of a minute, and
// each gets the figures of its own claim and its own pod.
func TestOneQuestionInAWhile(t *testing.T) {
	ca := pki.New(t)
	k := newKubelet(t, ca)
	n, at, _ := nodes(k, ca.Pool())
	ask := func(want spawn.Space) {
		t.Helper()
		var pages sync.WaitGroup
		for range 50 {
			pages.Go(func() {
				if got, ok := within(t, n, k.home("alice"), 10*time.Second); !ok || got != want {
					t.Errorf("%+v, %v", got, ok)
				}
				late := spawn.Mounted{Node: k.addr.Addr(), Pod: "u", Volume: "late"}
				if got, ok := within(t, n, late, 10*time.Second); !ok || got != (spawn.Space{Free: 7, Total: 9}) {
					t.Errorf("a late home: %+v, %v", got, ok)
				}
				if got, ok := within(t, n, k.home("bob"), 10*time.Second); ok {
					t.Errorf("bob's home: %+v", got)
				}
				got, ok := n.Consumption(t.Context(), spawn.Measured{Node: k.addr.Addr(), UID: "u"})
				if !ok || got.CPU == nil || *got.CPU != 1234 || got.Memory == nil || *got.Memory != 8192 {
					t.Errorf("the pod: %+v, %v", got, ok)
				}
				if got, ok := n.Consumption(t.Context(), spawn.Measured{Node: k.addr.Addr(), UID: "another"}); ok {
					t.Errorf("another pod: %+v", got)
				}
			})
		}
		pages.Wait()
	}
	ask(spawn.Space{Free: 40, Total: 100})
	k.says(strings.Replace(summary, "40", "30", 1))
	at.Add(14)
	ask(spawn.Space{Free: 40, Total: 100})
	if got := k.asked.Load(); got != 1 {
		t.Errorf("asked %d times in a quarter of a minute", got)
	}
	at.Add(1)
	ask(spawn.Space{Free: 30, Total: 100})
	if got := k.asked.Load(); got != 2 {
		t.Errorf("then asked %d times", got)
	}
	if _, ok := k.tokens.Load("Bearer " + token); !ok {
		t.Error("asked without the token")
	}
}

// TestASlowNodeDelaysNoPage: a page that has waited long enough gets what is known, and the next one
// the answer that came meanwhile.
func TestASlowNodeDelaysNoPage(t *testing.T) {
	ca := pki.New(t)
	k := newKubelet(t, ca)
	n, at, _ := nodes(k, ca.Pool())
	hold := make(chan struct{})
	k.answer.Store(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { <-hold; _, _ = fmt.Fprint(w, summary) }))
	if got, ok := within(t, n, k.home("alice"), 20*time.Millisecond); ok {
		t.Errorf("without an answer: %+v", got)
	}
	wait.Until(t, "the question is there", func() bool { return k.asked.Load() == 1 })
	at.Add(100) // it is open still: no second one
	if _, ok := within(t, n, k.home("alice"), 20*time.Millisecond); ok || k.asked.Load() != 1 {
		t.Errorf("asked %d times", k.asked.Load())
	}
	close(hold)
	wait.Until(t, "a later page has the answer", func() bool {
		got, ok := within(t, n, k.home("alice"), 20*time.Millisecond)
		return ok && got == spawn.Space{Free: 40, Total: 100}
	})
}

// TestS14_NoTokenForAStranger: a node that cannot prove its address with the cluster's authority
// gets no token, and the log says so once.
func TestS14_NoTokenForAStranger(t *testing.T) {
	k := newKubelet(t, pki.New(t))
	n, at, log := nodes(k, pki.New(t).Pool())
	for range 3 {
		if got, ok := within(t, n, k.home("alice"), 10*time.Second); ok {
			t.Errorf("%+v", got)
		}
		at.Add(60)
	}
	if k.asked.Load() != 0 {
		t.Error("the stranger got a request")
	}
	if text := log.String(); strings.Count(text, "certificates of the cluster's authority") != 1 || strings.Contains(text, token) {
		t.Errorf("the log says\n%s", text)
	}
}

// TestHostileNodes: what a node answers amiss is no answer; it leads the token nowhere else, and the
// log says so once until it answers well again.
func TestHostileNodes(t *testing.T) {
	ca := pki.New(t)
	other := newKubelet(t, ca)
	for name, answer := range map[string]http.HandlerFunc{
		"forbidden": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+other.addr.String()+"/stats/summary", http.StatusFound)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") },
		"a negative amount": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, strings.Replace(summary, "40", "-40", 1))
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprint(w, `{"pods": [{"x": "`)
			for chunk := []byte(strings.Repeat("x", 1<<20)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		k := newKubelet(t, ca)
		n, at, log := nodes(k, ca.Pool())
		k.answer.Store(answer)
		for range 2 {
			if got, ok := within(t, n, k.home("alice"), 10*time.Second); ok {
				t.Errorf("%s: %+v", name, got)
			}
			at.Add(60)
		}
		k.says(summary)
		if got, ok := within(t, n, k.home("alice"), 10*time.Second); !ok || got.Total != 100 {
			t.Errorf("%s, and then a good answer: %+v", name, got)
		}
		if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Contains(text, token) {
			t.Errorf("%s: the log says\n%s", name, text)
		}
	}
	if other.asked.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestWithoutATokenNothingIsAsked(t *testing.T) {
	ca := pki.New(t)
	k := newKubelet(t, ca)
	n, _, log := nodes(k, ca.Pool())
	n.Token = func(context.Context) (string, error) { return "", errors.New("no such account") }
	if _, ok := within(t, n, k.home("alice"), 10*time.Second); ok || k.asked.Load() != 0 || !strings.Contains(log.String(), "no such account") {
		t.Errorf("asked %d times; the log says\n%s", k.asked.Load(), log)
	}
}

// TestNodesAreForgotten: clusters that make nodes and drop them do not fill the memory.
func TestNodesAreForgotten(t *testing.T) {
	n := New(Settings{Authority: x509.NewCertPool(), Now: time.Now, Log: slog.New(slog.DiscardHandler), Token: func(context.Context) (string, error) { return "", errors.New("none") }})
	at := &clock{}
	n.Now = at.now
	addr := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		_, _ = within(t, n, spawn.Mounted{Node: addr}, time.Second)
		addr = addr.Next()
		at.Add(60)
	}
	if got := len(n.nodes); got > 12 {
		t.Errorf("%d nodes are known", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(summary)
	f.Add(`{"pods": [{"volume": [{"pvcRef": {}, "availableBytes": 18446744073709551615, "capacityBytes": 18446744073709551615}]}]}`)
	f.Add(`{"pods": null}`)
	f.Add(`{"pods": [{"volume": [{"pvcRef": {"name": "a"}, "capacityBytes": 0}, {"pvcRef": {"name": "b"}, "availableBytes": 2, "capacityBytes": 1}]}]}`)
	f.Add(`{"pods": [{"podRef": {"uid": "u"}, "containers": [{"name": "notebook", "cpu": {"usageNanoCores": 18446744073709551615}, "memory": {}}]}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		all, err := read(strings.NewReader(body))
		for c, s := range all.spaces {
			if err != nil || s.Total <= 0 || s.Free < 0 || s.Free > s.Total || s.Used() < 0 || s.Used() > 100 {
				t.Errorf("%v: %+v, %v", c, s, err)
			}
		}
		for uid, c := range all.pods {
			if err != nil || uid == "" || c.CPU != nil && *c.CPU < 0 || c.Memory != nil && *c.Memory < 0 {
				t.Errorf("%s: %+v, %v", uid, c, err)
			}
		}
	})
}
