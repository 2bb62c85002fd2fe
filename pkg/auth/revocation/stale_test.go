package revocation

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

// TestV7_CutFeedIsNoticed: the watch says nothing and the API no longer answers; a
// minute later the list counts as stale, and as fresh again when the API is back. What
// was revoked meanwhile elsewhere is then known, though no watch event told.
func TestV7_CutFeedIsNoticed(t *testing.T) {
	client := fake.NewClientset(secretWith(""))
	// A watch that never says anything: a connection that died without a word.
	client.PrependWatchReactor("secrets", func(clienttest.Action) (bool, watch.Interface, error) {
		return true, watch.NewFake(), nil
	})
	var away atomic.Bool
	client.PrependReactor("get", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		if away.Load() {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	var offset atomic.Int64 // moves the clock
	log := &logs.Buffer{}
	s := New(client, Settings{
		Namespace: ns, Secret: name, Log: slog.New(slog.NewTextHandler(log, nil)),
		Now: func() time.Time { return now().Add(time.Duration(offset.Load())) },
	})
	s.poll = time.Millisecond
	if !s.Stale() {
		t.Error("a list that was never read is not stale")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	synced(t, s)
	offset.Store(int64(10 * time.Minute))
	wait.Until(t, "while the API answers, the list stays fresh", func() bool { return !s.Stale() })
	away.Store(true)
	offset.Store(int64(11*time.Minute + time.Second))
	wait.Until(t, "it is stale and said so", func() bool { return s.Stale() && strings.Contains(log.String(), "revocations are stale") })
	offset.Store(int64(10*time.Minute + 59*time.Second))
	if s.Stale() {
		t.Error("stale after less than a minute")
	}
	offset.Store(int64(12 * time.Minute))
	secret := secretWith(`{"sessions":{"elsewhere":` + "99999999999999" + `}}`)
	if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), secret, ns); err != nil {
		t.Fatal(err)
	}
	if s.Revoked("elsewhere", "", now()) {
		t.Fatal("negative control: nobody could have told")
	}
	away.Store(false)
	wait.Until(t, "it is fresh again", func() bool { return !s.Stale() && strings.Contains(log.String(), "up to date again") })
	if !s.Revoked("elsewhere", "", now()) {
		t.Error("what was ended meanwhile is not known")
	}
}
