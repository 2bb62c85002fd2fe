package account

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/feed"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/wait"
)

// clock is a clock that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time       { return now().Add(time.Duration(c.offset.Load())) }
func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

// timed runs a Store that looks at its heartbeat all the time, by a clock of the test's.
func timed(t *testing.T, client *fake.Clientset, c *clock) *Store {
	t.Helper()
	s := New(client, Settings{Namespace: ns, Release: "rel", Now: c.now, Log: slog.New(slog.DiscardHandler)})
	s.beatEvery = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-s.Synced()
	return s
}

// TestV7_ADeadWatchOfAccountsIsNoticed: the API answers this replica's writes, but its watch
// died without a word. A token that another replica revokes would stay good here without
// bound; after a minute the accounts count as stale.
func TestV7_ADeadWatchOfAccountsIsNoticed(t *testing.T) {
	client, c := locking.NewClientset(), &clock{}
	var dead atomic.Bool
	client.PrependWatchReactor("secrets", func(clienttest.Action) (bool, watch.Interface, error) {
		return dead.Load(), watch.NewFake(), nil
	})
	before := watches(client)
	healthy := timed(t, client, c)
	wait.Until(t, "the healthy replica watches", func() bool { return watches(client) > before })
	dead.Store(true)
	deaf := timed(t, client, c)
	if healthy.Stale() || deaf.Stale() {
		t.Fatal("stale after the first list")
	}
	c.pass(feed.MaxAge + time.Second)
	wait.Until(t, "heartbeats arrive at the healthy replica", func() bool { return !healthy.Stale() })
	if !deaf.Stale() {
		t.Error("a replica that hears nothing takes its accounts for complete")
	}
	if healthy.Len() != 0 || deaf.Len() != 0 {
		t.Error("the heartbeat counts as an account")
	}
}

// TestV7_AnAPIThatIsAwayMakesAccountsStale and its return makes them fresh.
func TestV7_AnAPIThatIsAwayMakesAccountsStale(t *testing.T) {
	client, c := locking.NewClientset(), &clock{}
	var away atomic.Bool
	client.PrependReactor("*", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		return away.Load(), nil, apierrors.NewServiceUnavailable("away")
	})
	before := watches(client)
	s := timed(t, client, c)
	wait.Until(t, "it watches", func() bool { return watches(client) > before })
	away.Store(true)
	c.pass(feed.MaxAge)
	if s.Stale() {
		t.Error("stale within a minute")
	}
	c.pass(time.Second)
	if !s.Stale() {
		t.Error("fresh without an API")
	}
	away.Store(false)
	wait.Until(t, "it is fresh again", func() bool { return !s.Stale() })
}

// TestReplicasShareAHeartbeat: while one arrives in time nobody writes another.
func TestReplicasShareAHeartbeat(t *testing.T) {
	client, c := locking.NewClientset(), &clock{}
	replicas := []*Store{timed(t, client, c), timed(t, client, c), timed(t, client, c)}
	wait.Until(t, "all watch", func() bool { return watches(client) == len(replicas) })
	writes := func() (n int) {
		for _, action := range client.Actions() {
			if verb := action.GetVerb(); verb == "create" || verb == "update" {
				n++
			}
		}
		return n
	}
	if writes() != 0 {
		t.Errorf("%d heartbeats right after the first list", writes())
	}
	c.pass(beatEvery)
	wait.Until(t, "all have heard one", func() bool {
		for _, s := range replicas {
			if s.Age() != 0 {
				return false
			}
		}
		return true
	})
	if n := writes(); n < 1 || n > len(replicas) {
		t.Errorf("%d writes for one moment", n)
	}
}

func TestAHeartbeatOfAnotherClock(t *testing.T) {
	c := &clock{}
	c.pass(time.Hour) // this replica's clock is behind
	s := New(locking.NewClientset(), Settings{Namespace: ns, Release: "rel", Now: c.now, Log: slog.New(slog.DiscardHandler)})
	if err := s.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	secret, err := s.client.CoreV1().Secrets(ns).Get(t.Context(), s.beatName(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.pass(-time.Hour)
	sink{s}.Put(t.Context(), secret)
	if s.Age() != 0 {
		t.Errorf("a heartbeat from the future makes the accounts %v old", s.Age())
	}
	secret.Data[beatKey] = []byte("yesterday")
	c.pass(2 * feed.MaxAge)
	sink{s}.Put(t.Context(), secret)
	if !s.Stale() {
		t.Error("an unreadable heartbeat counts")
	}
}
