package feed

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/test/wait"
)

// names is a Sink that keeps the names of what exists.
type names struct {
	mu  sync.Mutex
	all map[string]bool
}

func (n *names) Replace(_ context.Context, all []*corev1.Secret) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = map[string]bool{}
	for _, s := range all {
		n.all[s.Name] = true
	}
}

func (n *names) Put(_ context.Context, s *corev1.Secret) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[s.Name] = true
}

func (n *names) Drop(_ context.Context, s *corev1.Secret) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, s.Name)
}

func (n *names) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(n.all)), " ")
}

func secret(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: map[string]string{"kind": "x"}}}
}

// run follows with f until the test ends.
func run(t *testing.T, f *Feed) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func settings() Settings {
	return Settings{Name: "things", Namespace: "ns", Labels: "kind=x", Log: slog.New(slog.DiscardHandler)}
}

func TestFollowsWhatTheSelectorFinds(t *testing.T) {
	t.Parallel()
	other := secret("other")
	other.Labels = nil
	client, sink := fake.NewClientset(secret("a"), other), &names{}
	f := New(client, sink, settings())
	run(t, f)
	<-f.Synced()
	if sink.String() != "a" {
		t.Errorf("the list holds %q", sink)
	}
	wait.Until(t, "it watches", func() bool { return len(client.Actions()) > 1 })
	if _, err := client.CoreV1().Secrets("ns").Create(t.Context(), secret("b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "a new Secret arrives", func() bool { return sink.String() == "a b" })
	if err := client.CoreV1().Secrets("ns").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "a deleted one goes", func() bool { return sink.String() == "b" })
}

func TestNotSyncedWhileTheAPIIsAway(t *testing.T) {
	t.Parallel()
	client, sink := fake.NewClientset(secret("a")), &names{}
	var away atomic.Bool
	away.Store(true)
	client.PrependReactor("list", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		return away.Load(), nil, apierrors.NewServiceUnavailable("away")
	})
	f := New(client, sink, settings())
	run(t, f)
	wait.Until(t, "the failure is counted", func() bool { return f.Errors() > 0 })
	select {
	case <-f.Synced():
		t.Error("synced without a list")
	default:
	}
	away.Store(false)
	<-f.Synced()
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var offset atomic.Int64
	f := NewFreshness(func() time.Time { return at.Add(time.Duration(offset.Load())) })
	if !f.Stale() {
		t.Error("what was never confirmed is fresh")
	}
	f.Confirm(at)
	f.Confirm(at.Add(-time.Hour)) // a late proof takes nothing back
	offset.Store(int64(MaxAge))
	if f.Stale() || f.Age() != MaxAge {
		t.Errorf("stale after %v", f.Age())
	}
	offset.Add(1)
	if !f.Stale() {
		t.Error("never stale")
	}
}

func TestKeepSaysWhenItBecomesStaleAndFresh(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var offset atomic.Int64
	var broken atomic.Bool
	log := &output{}
	f := NewFreshness(func() time.Time { return at.Add(time.Duration(offset.Load())) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Keep(ctx, time.Millisecond, "things", slog.New(slog.NewTextHandler(log, nil)), func(context.Context) error {
			if broken.Load() {
				return errors.New("away")
			}
			f.Confirm(f.now())
			return nil
		})
	}()
	defer func() { cancel(); <-done }()
	wait.Until(t, "it is fresh", func() bool { return !f.Stale() })
	broken.Store(true)
	wait.Until(t, "it says that it is stale, and why", func() bool {
		offset.Add(int64(time.Second)) // a proof may be under way
		return strings.Contains(log.String(), "things are stale") && strings.Contains(log.String(), "error=away")
	})
	broken.Store(false)
	wait.Until(t, "it says that it is fresh", func() bool { return strings.Contains(log.String(), "things are up to date again") })
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines for two changes:\n%s", n, log)
	}
}

// output is a log that two goroutines may touch.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }
func (o *output) String() string              { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }
