package kube

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/test/wait"
)

// free lets alice's server be idle for ever.
func (e *cullEnv) free() {
	e.t.Helper()
	pod := e.pod(alice)
	delete(pod.Annotations, contract.AnnotationCullIdle)
	if _, err := e.client.CoreV1().Pods(ns).Update(e.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		e.t.Fatal(err)
	}
	wait.Until(e.t, "the change is seen", func() bool { return spawn.CullAfter(e.cluster.cached(alice)) == 0 })
}

func (e *cullEnv) get() spawn.Server {
	e.t.Helper()
	s, err := e.cluster.Get(e.t.Context(), alice)
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

// TestServersWithoutALimitAreAsked to know when they were last in use: once in their first minute, and
// then every five minutes. Nothing stops them.
func TestServersWithoutALimitAreAsked(t *testing.T) {
	t.Parallel()
	s := &tells{idle: 2 * time.Hour, state: "idle"}
	e := newCullEnv(t, s, false)
	e.free()
	e.age(3 * time.Hour)
	if before := e.get(); before.Tells || !before.LastUse(time.Now()).After(time.Now().Add(-time.Minute)) {
		t.Errorf("a server that was not asked yet: %+v", before)
	}
	if e.all(); s.asked.Load() != questions {
		t.Fatalf("%d questions in the first minute", s.asked.Load())
	}
	got := e.get()
	if idle := time.Since(got.LastActivity); !got.Tells || got.Busy || idle < 2*time.Hour-2*time.Second || idle > 2*time.Hour+time.Minute || !got.LastUse(time.Now()).Equal(got.LastActivity) {
		t.Errorf("it was last in use %v ago: %+v", idle, got)
	}
	s.state = "busy"
	for slot := range uint32(askSlots) {
		e.culler.round(t.Context(), slot)
	}
	if s.asked.Load() != 2*questions || e.stopped() {
		t.Errorf("%d questions after five minutes, stopped: %v", s.asked.Load(), e.stopped())
	}
	if got := e.get(); !got.Busy || time.Since(got.LastActivity) > time.Minute {
		t.Errorf("a busy server: %+v", got)
	}
	s.odd = func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true }
	for slot := range uint32(askSlots) {
		e.culler.round(t.Context(), slot)
	}
	if got := e.get(); got.Tells || time.Since(got.LastUse(time.Now())) > time.Minute {
		t.Errorf("a server that tells no more: %+v", got)
	}
	if strings.Contains(e.log.String(), "does not tell") {
		t.Errorf("warned of a server that is not to be stopped:\n%s", e.log.String())
	}
}

// TestReportsAreWrittenDown: another replica and a restart know a report, at the price of one write in
// five minutes, and no write moves the time back.
func TestReportsAreWrittenDown(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, false)
	e.free()
	e.age(3 * time.Hour)
	now := time.Now().Truncate(time.Second)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	other, _ := boot(t, e.client, e.cluster.Settings)
	report := func(c *Cluster, at time.Time) {
		t.Helper()
		if !c.Report(alice, at) {
			t.Fatal("not taken")
		}
		c.writeReports(t.Context())
	}
	written := func(want time.Time) {
		t.Helper()
		if got := e.pod(alice).Annotations[contract.AnnotationLastActivity]; got != want.UTC().Format(time.RFC3339) {
			t.Errorf("written is %s, want %v", got, want.UTC())
		}
		for name, c := range map[string]*Cluster{"the writer": e.cluster, "the other replica": other} {
			wait.Until(t, name+" sees it", func() bool { return spawn.ReportedUse(c.cached(alice), now).Equal(want) })
		}
	}
	pass := func() {
		e.cluster.activities.change(e.pod(alice).UID, func(a *activity) { a.written = a.written.Add(-writeEvery) })
	}
	report(e.cluster, ago(30))
	written(ago(30))
	if s, err := other.Get(t.Context(), alice); err != nil || !s.LastActivity.Equal(ago(30)) {
		t.Errorf("the other replica knows %v, %v", s.LastActivity, err)
	}
	report(e.cluster, ago(20))
	written(ago(30)) // too soon
	pass()
	e.cluster.writeReports(t.Context())
	written(ago(20)) // without another report
	pass()
	report(e.cluster, ago(40))
	report(other, ago(40))
	written(ago(20))
	report(other, ago(10))
	written(ago(10))
	pass()
	report(e.cluster, ago(15))
	written(ago(10)) // the other replica knows a later time
}

// TestWritesOfReportsGiveWay: a pod that has changed since it was read is looked at again, and one that
// is gone, or an API that is away, costs nothing but the report.
func TestWritesOfReportsGiveWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		tries   int // of two rounds
		warns   bool
	}{
		"changed": {apierrors.NewConflict(corev1.Resource("pods"), "p", errors.New("the object has been modified")), 2, false},
		"gone":    {apierrors.NewNotFound(corev1.Resource("pods"), "p"), 1, false},
		"away":    {apierrors.NewTimeoutError("the API is away", 1), 1, true},
	} {
		e := newCullEnv(t, &tells{idle: time.Minute, state: "idle"}, false)
		e.cluster.log = e.culler.log
		tries, patch := 0, ""
		e.client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
			p := a.(clienttest.PatchAction)
			if p.GetSubresource() != "" {
				return false, nil, nil
			}
			tries, patch = tries+1, string(p.GetPatch())
			return true, nil, c.refusal
		})
		e.cluster.Report(alice, time.Now())
		e.cluster.writeReports(t.Context())
		e.cluster.writeReports(t.Context())
		if tries != c.tries || strings.Contains(e.log.String(), "not written down") != c.warns {
			t.Errorf("%s: %d tries, the log says %s", name, tries, e.log.String())
		}
		if !strings.Contains(patch, `"uid":"`+string(e.pod(alice).UID)+`"`) || !strings.Contains(patch, `"resourceVersion":`) {
			t.Errorf("%s: the patch names no pod: %s", name, patch)
		}
	}
}

// TestK11_TheOtherReplicaHeardTheReport: a server that a program reported to one replica is not stopped
// by another, nor by one that has just started.
func TestK11_TheOtherReplicaHeardTheReport(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, false)
	other, _ := boot(t, e.client, e.cluster.Settings)
	if !other.Report(alice, time.Now().Add(-time.Minute)) {
		t.Fatal("not taken")
	}
	other.writeReports(t.Context())
	wait.Until(t, "the report is seen", func() bool { return !spawn.ReportedUse(e.cluster.cached(alice), time.Now()).IsZero() })
	if e.all(); e.stopped() || e.outcomes(outcomeUsed) != 1 {
		t.Error("a server that a program said to be in use is stopped")
	}
	pod := e.pod(alice)
	pod.Annotations[contract.AnnotationLastActivity] = time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	if _, err := e.client.CoreV1().Pods(ns).Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the change is seen", func() bool { return spawn.ReportedUse(e.cluster.cached(alice), time.Now()).IsZero() })
	if e.all(); !e.stopped() {
		t.Error("a time of the future keeps a server")
	}
}
