package kube

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// seen is what Envoy saw of alice's server: used some time ago.
type seen struct {
	ago time.Duration
	ok  bool
}

func (s *seen) last(id server.ID) (time.Time, bool) {
	if id != alice {
		return time.Time{}, false
	}
	return time.Now().Add(-s.ago), s.ok
}

// become makes alice's server another program than Jupyter.
func (e *cullEnv) become() {
	e.t.Helper()
	pod := e.pod(alice)
	pod.Annotations[contract.AnnotationProgram] = "true"
	if _, err := e.client.CoreV1().Pods(ns).Update(e.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		e.t.Fatal(err)
	}
	wait.Until(e.t, "the change is seen", func() bool { return spawn.IsProgram(e.cluster.cached(alice)) })
}

// TestProgramsAreJudgedByTraffic: a program that is not Jupyter is asked nothing. It is stopped when
// no user did anything there for its time, and stays while that is not known.
func TestProgramsAreJudgedByTraffic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seen    seen
		age     time.Duration // since it answered
		stopped bool
		outcome string
	}{
		"used a minute ago":           {seen{time.Minute, true}, 3 * time.Hour, false, outcomeUsed},
		"not used for two hours":      {seen{2 * time.Hour, true}, 3 * time.Hour, true, outcomeIdle},
		"it has just started":         {seen{2 * time.Hour, true}, time.Minute, false, outcomeUsed},
		"the gateways do not say":     {seen{2 * time.Hour, false}, 3 * time.Hour, false, outcomeFailed},
		"the spawner's clock is late": {seen{-time.Hour, true}, 3 * time.Hour, false, outcomeUsed},
	} {
		s := &tells{idle: 9 * time.Hour, state: "idle"}
		e := newCullEnv(t, s, false)
		e.cluster.Traffic = c.seen.last
		e.become()
		e.age(c.age)
		before := s.asked.Load()
		if e.all(); e.stopped() != c.stopped || e.outcomes(c.outcome) != 1 {
			t.Errorf("%s: stopped %v, outcomes %v", name, e.stopped(), e.outcomes(c.outcome))
		}
		if s.asked.Load() != before {
			t.Errorf("%s: the program was asked", name)
		}
	}
}

// TestTrafficKeepsNoJupyter: an open JupyterLab saves its layout every ten seconds, by itself. Jupyter is
// asked, and what passes through it to a program behind it is use that it tells.
func TestTrafficKeepsNoJupyter(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, false)
	e.cluster.Traffic = (&seen{time.Second, true}).last
	e.age(3 * time.Hour)
	if e.all(); !e.stopped() {
		t.Error("a forgotten tab keeps its server")
	}
}

// TestProgramsStart: any answer below 500 to the first page says that a program is there.
func TestProgramsStart(t *testing.T) {
	t.Parallel()
	for code, answers := range map[int]bool{200: true, 302: true, 401: true, 404: true, 500: false, 503: false} {
		p := newProber(nil, nil, time.Now, nil)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
		t.Cleanup(srv.Close)
		if got := p.ask(t.Context(), srv.Client(), srv.URL, true); got != answers {
			t.Errorf("a program that answers %d: %v", code, got)
		}
		if got := p.ask(t.Context(), srv.Client(), srv.URL, false); got != (code == 200) {
			t.Errorf("Jupyter that answers %d: %v", code, got)
		}
	}
}

// TestPublishedPodsThatSaySo: a pod that the spawner did not make is stopped only where its annotation
// says for how long it may be idle, only where servers live, and only when nobody used it.
func TestPublishedPodsThatSaySo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		namespace, idle string
		ready           time.Duration // for how long
		seen            seen
		stopped         bool
	}{
		"it may be idle for an hour": {ns, "1h", 3 * time.Hour, seen{2 * time.Hour, true}, true},
		"used a minute ago":          {ns, "1h", 3 * time.Hour, seen{time.Minute, true}, false},
		"it is new":                  {ns, "1h", time.Minute, seen{2 * time.Hour, true}, false},
		"nobody knows":               {ns, "1h", 3 * time.Hour, seen{2 * time.Hour, false}, false},
		"it does not say so":         {ns, "", 3 * time.Hour, seen{2 * time.Hour, true}, false},
		"it says something else":     {ns, "yes", 3 * time.Hour, seen{2 * time.Hour, true}, false},
		"in another namespace":       {"apps", "1h", 3 * time.Hour, seen{2 * time.Hour, true}, false},
	} {
		app := memory.Labelled("app", alice, time.Now().Add(-9*time.Hour))
		app.Namespace = c.namespace
		app.Status.Conditions[0].LastTransitionTime = metav1.NewTime(time.Now().Add(-c.ready))
		if c.idle != "" {
			app.Annotations[contract.AnnotationCullIdle] = c.idle
		}
		client, s := newClient(app), settings(t)
		s.Namespaces, s.Traffic = []string{ns, "apps"}, c.seen.last
		cluster, _ := boot(t, client, s)
		wait.Until(t, "the pod is listed", func() bool { return len(cluster.Published("alice")) == 1 })
		culler := NewCuller(cluster, record.NewFakeRecorder(9), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
		for slot := range uint32(askSlots) {
			culler.round(t.Context(), slot)
		}
		got, err := client.CoreV1().Pods(c.namespace).Get(t.Context(), "app", metav1.GetOptions{})
		if err != nil || (got.Spec.ActiveDeadlineSeconds != nil) != c.stopped {
			t.Errorf("%s: stopped is %v, %v", name, got.Spec.ActiveDeadlineSeconds != nil, err)
		}
	}
}
