package kube

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// patches counts how often a pod itself is changed, and refuses the first of them.
func (e *cullEnv) patches(refuse int, with error) func() int {
	e.t.Helper()
	var mu sync.Mutex
	n := 0
	e.client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "" {
			return false, nil, nil
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		return n <= refuse, nil, with
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// TestKeepHoldsOnAllReplicas: a server that is about to be stopped, and whose user wants it to go on, is
// stopped by no replica, also none that starts now.
func TestKeepHoldsOnAllReplicas(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, false)
	e.age(3 * time.Hour)
	other, _ := boot(t, e.client, e.cluster.Settings)
	if w := e.warned(); w != nil {
		t.Errorf("before it was asked: %+v", w)
	}
	if ok, err := other.Keep(t.Context(), alice); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if e.pod(alice).Annotations[contract.AnnotationLastActivity] == "" {
		t.Fatal("it is not written down when Keep returns")
	}
	wait.Until(t, "the other replica knows", func() bool { return !spawn.ReportedUse(e.cluster.cached(alice), time.Now()).IsZero() })
	if e.all(); e.stopped() {
		t.Error("a server that its user keeps is stopped")
	}
	if w := e.warned(); w != nil {
		t.Errorf("warned of a server that is kept: %+v", w)
	}
}

func (e *cullEnv) warned() *spawn.Warning {
	e.t.Helper()
	return e.get().Warning(time.Now())
}

// TestWarnedBeforeItIsStopped, but not in a dry run, which stops nothing and tells administrators.
func TestWarnedBeforeItIsStopped(t *testing.T) {
	t.Parallel()
	for _, dryRun := range []bool{false, true} {
		e := newCullEnv(t, &tells{idle: 57 * time.Minute, state: "idle"}, dryRun)
		e.age(3 * time.Hour)
		if e.all(); e.stopped() {
			t.Fatal("stopped before its time")
		}
		if w := e.warned(); (w == nil) != dryRun || w != nil && (w.Message != spawn.MsgWarnIdle || time.Until(w.At) > 4*time.Minute || time.Until(w.At) < 2*time.Minute) {
			t.Errorf("dry run %v: warned of %+v", dryRun, w)
		}
	}
	e := newCullEnv(t, &tells{idle: 2 * time.Hour, state: "idle"}, true)
	e.age(3 * time.Hour)
	e.all()
	e.all()
	select {
	case event := <-e.events.Events:
		if !strings.Contains(event, ReasonWouldCull) || len(e.events.Events) > 0 {
			t.Errorf("the Event is %q, and %d more", event, len(e.events.Events))
		}
	default:
		t.Error("a dry run leaves no Event on the pod")
	}
}

// D5: a user who presses the button a thousand times a second costs one write in ten seconds.
func TestD5_KeepAThousandTimes(t *testing.T) {
	t.Parallel()
	e := newCullEnv(t, &tells{idle: time.Minute, state: "idle"}, false)
	writes := e.patches(0, nil)
	var group sync.WaitGroup
	for range 1000 {
		group.Go(func() {
			if ok, err := e.cluster.Keep(t.Context(), alice); !ok || err != nil {
				t.Error(ok, err)
			}
		})
	}
	group.Wait()
	wait.Until(t, "the write is seen", func() bool { return !spawn.ReportedUse(e.cluster.cached(alice), time.Now()).IsZero() })
	before := writes()
	for range 1000 {
		_, _ = e.cluster.Keep(t.Context(), alice)
	}
	if got := writes(); got != before || before > 100 {
		t.Errorf("%d writes at once, %d after them", before, got-before)
	}
}

// TestKeepGivesWay: a pod that the kubelet changes meanwhile is written all the same; an API that is away
// is told to the user; a server that is gone is not kept.
func TestKeepGivesWay(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(corev1.Resource("pods"), "p", errors.New("the object has been modified"))
	for name, c := range map[string]struct {
		refuse int
		with   error
		fails  bool
	}{
		"changed twice": {2, conflict, false}, "changed always": {99, conflict, true}, "away": {99, apierrors.NewTimeoutError("the API is away", 1), true},
	} {
		e := newCullEnv(t, &tells{idle: time.Minute, state: "idle"}, false)
		_ = e.patches(c.refuse, c.with)
		if ok, err := e.cluster.Keep(t.Context(), alice); !ok || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	e := newCullEnv(t, &tells{idle: time.Minute, state: "idle"}, false)
	if ok, err := e.cluster.Keep(t.Context(), server.ID{User: "bob"}); ok || err != nil {
		t.Errorf("a server that is gone: %v, %v", ok, err)
	}
}
