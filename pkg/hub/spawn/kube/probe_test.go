package kube

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

// jupyter is a server in place of a pod's: it answers as told, on 127.0.0.1.
type jupyter struct {
	status atomic.Int64
	asked  atomic.Int64
	path   atomic.Value
}

// lead takes whoever dials the pod's address to a test server: pods' own addresses do not
// exist here.
func lead(t *testing.T, srv *httptest.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "10.9.8.7:8888" {
			t.Errorf("asked %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
	}
}

// TestAnsweringIsNoticed probes the pod from the moment it has an address, accepts
// nothing but 200, and takes its word back when the container is replaced.
func TestAnsweringIsNoticed(t *testing.T) {
	t.Parallel()
	j := &jupyter{}
	j.status.Store(http.StatusServiceUnavailable)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.asked.Add(1)
		j.path.Store(r.URL.EscapedPath())
		w.Header().Set("Location", "http://169.254.169.254/")
		w.WriteHeader(int(j.status.Load()))
	}))
	defer srv.Close()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	c.answers.dial = lead(t, srv)
	id := server.ID{User: "张三", Name: "demo"}
	if err := c.Start(t.Context(), ask(id)); err != nil {
		t.Fatal(err)
	}
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.PodIP, s.HostIP = corev1.PodRunning, "10.9.8.7", "192.168.0.1" })
	answering := func() bool { return spawn.IsAnswering(onlyPod(t, client)) }
	for _, no := range []int{http.StatusServiceUnavailable, http.StatusFound, http.StatusForbidden} {
		before := j.asked.Load()
		j.status.Store(int64(no))
		wait.Until(t, "it is asked again", func() bool { return j.asked.Load() > before+2 })
		if answering() {
			t.Fatalf("%d was taken for an answer", no)
		}
	}
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering", answering)
	if got, want := j.path.Load(), id.Prefix()+"api"; got != want {
		t.Errorf("asked for %v, want %s", got, want)
	}
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
	})
	wait.Until(t, "one spawn is counted", func() bool { return testutil.CollectAndCount(c.metrics.spawns) == 1 })
	if c.running() != 1 {
		t.Errorf("%v running servers", c.running())
	}

	j.status.Store(http.StatusServiceUnavailable)
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", RestartCount: 1}}
	})
	wait.Until(t, "the condition is taken back", func() bool {
		for _, cond := range onlyPod(t, client).Status.Conditions {
			if cond.Type == contract.ConditionAnswering {
				return cond.Status == corev1.ConditionFalse
			}
		}
		return false
	})
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering after the restart", answering)
}

// TestK8_ProbeBelievesThePodItself: only the pod that was started counts as answering. Another
// program on its address, with another pod's certificate, with none, or with one of a CA of
// its own, does not; and the pod sees the spawner's certificate.
func TestK8_ProbeBelievesThePodItself(t *testing.T) {
	t.Parallel()
	s, servers, services := withProofs(t)
	s.Site.Proof = true
	client := newClient()
	c, _ := boot(t, client, s)
	stranger := pki.New(t)
	var asked atomic.Int64
	answering := func() bool { return spawn.IsAnswering(onlyPod(t, client)) }
	serve := func(conf *tls.Config) *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		if srv.TLS = conf; conf == nil {
			srv.Start()
		} else {
			srv.StartTLS()
		}
		t.Cleanup(srv.Close)
		return srv
	}
	as := func(ca *pki.CA, name string) *tls.Config {
		files := ca.Issue(name, time.Hour)
		pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: services.Pool()}
	}
	var mu sync.Mutex
	var at *httptest.Server
	dials := 0
	c.answers.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		dials++
		return lead(t, at)(ctx, network, addr)
	}
	put := func(conf *tls.Config) {
		mu.Lock()
		defer mu.Unlock()
		at, dials = serve(conf), 0
	}
	dialled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return dials
	}
	put(nil)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.PodIP, s.HostIP = corev1.PodRunning, "10.9.8.7", "192.168.0.1" })
	name, err := podmeta.ProofName(onlyPod(t, client))
	if err != nil || name == "" {
		t.Fatalf("the pod must prove %q, %v", name, err)
	}
	other, err := contract.ProofName("other")
	if err != nil {
		t.Fatal(err)
	}
	for what, conf := range map[string]*tls.Config{
		"plain HTTP":               nil,
		"another pod's proof":      as(servers, other),
		"the name by another CA":   as(stranger, name),
		"a service's certificate":  as(services, contract.NameGateway),
		"the name by the services": as(services, name),
	} {
		put(conf)
		wait.Until(t, "it is asked again", func() bool { return dialled() > 2 })
		if answering() || asked.Load() > 0 {
			t.Fatalf("%s was taken for the pod", what)
		}
	}
	put(as(servers, name)) // negative control
	wait.Until(t, "the pod itself is noticed", answering)
}

// TestProbeBacksOff: a server that never answers is asked less and less; one that takes its time
// is noticed soon after it answers.
func TestProbeBacksOff(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]time.Duration{
		0: 20 * time.Millisecond, 400 * time.Millisecond: 20 * time.Millisecond, time.Second: 50 * time.Millisecond, 10 * time.Second: 500 * time.Millisecond,
		time.Minute: 3 * time.Second, time.Hour: 10 * time.Second,
	} {
		if got := pause(asked); got != want {
			t.Errorf("after %v of asking the pause is %v, want %v", asked, got, want)
		}
	}
	var asked atomic.Int64
	stuck := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer stuck.Close()
	clock := clustertest.NewClock()
	p := newProber(nil, nil, clock.Now, slog.New(slog.DiscardHandler))
	p.after = func(d time.Duration) <-chan time.Time {
		clock.Advance(d) // time passes as it is waited for
		passed := make(chan time.Time, 1)
		passed <- clock.Now()
		return passed
	}
	began := clock.Now()
	pod := spawn.Pod(clustertest.Site(), spawn.Spec{ID: alice, Nonce: "abcdefghijklmnopqrstuvwxyz"})
	pod.UID = "u"
	p.start(t.Context(), pod, spawn.Target{Addr: netip.MustParseAddrPort(strings.TrimPrefix(stuck.URL, "http://"))}, spawn.Question{Path: "/"})
	wait.Until(t, "an hour has passed", func() bool { return clock.Now().Sub(began) > time.Hour })
	p.stop("u")
	p.wait()
	if n, hours := float64(asked.Load()), clock.Now().Sub(began).Hours(); n > 150+400*hours {
		t.Errorf("asked %v times in %.1f h", n, hours)
	}
}
