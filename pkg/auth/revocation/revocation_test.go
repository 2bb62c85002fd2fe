package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/test/wait"
)

const (
	ns   = "perijove"
	name = "perijove-revoked"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func start(t *testing.T, client *fake.Clientset) *Store {
	t.Helper()
	s := New(client, Settings{Namespace: ns, Secret: name, Now: now, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func synced(t *testing.T, s *Store) *Store {
	t.Helper()
	wait.Closed(t, "synced", s.Synced())
	return s
}

func stored(t *testing.T, client *fake.Clientset) List {
	t.Helper()
	secret, err := client.CoreV1().Secrets(ns).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Decode(secret.Data[dataKey])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// alices is a session of alice's that began an hour ago and lasts for another.
func alices(id string) Session {
	return Session{ID: id, User: "alice", Since: now().Add(-time.Hour), Until: now().Add(time.Hour)}
}

func secretWith(content string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: map[string][]byte{dataKey: []byte(content)}}
}

func TestV1_RevokedHereAndOnAnotherReplica(t *testing.T) {
	client := fake.NewClientset()
	a, b := synced(t, start(t, client)), synced(t, start(t, client))
	if a.Revoked("sid1", "alice", now()) {
		t.Fatal("negative control: nothing is revoked yet")
	}
	if err := a.RevokeSession(context.Background(), alices("sid1")); err != nil {
		t.Fatal(err)
	}
	if !a.Revoked("sid1", "alice", now()) {
		t.Error("not revoked on the replica that did it")
	}
	wait.Until(t, "the other replica refuses sid1", func() bool { return b.Revoked("sid1", "alice", now()) })
	if a.Revoked("sid2", "alice", now()) || b.Revoked("sid2", "alice", now()) {
		t.Error("another session is revoked too")
	}
}

func TestV3_RevokedUserOnAllReplicas(t *testing.T) {
	client := fake.NewClientset(secretWith(""))
	a, b := synced(t, start(t, client)), synced(t, start(t, client))
	if err := a.RevokeUser(context.Background(), "alice", 12*time.Hour); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "the other replica refuses alice", func() bool { return b.Revoked("any", "alice", now().Add(-time.Minute)) })
	for _, s := range []*Store{a, b} {
		if !s.Revoked("any", "alice", now()) {
			t.Error("a session of the same millisecond lives on")
		}
		if s.Revoked("new", "alice", now().Add(time.Millisecond)) {
			t.Error("alice cannot log in again")
		}
		if s.Revoked("any", "bob", now().Add(-time.Hour)) {
			t.Error("bob is revoked")
		}
	}
}

// TestD9_ManyLoginsTakeOneEntry: one person who logs in without end must not fill the list
// that everybody's logouts need.
func TestD9_ManyLoginsTakeOneEntry(t *testing.T) {
	client := fake.NewClientset()
	s := synced(t, start(t, client))
	for i := range 50 {
		if err := s.RevokeBefore(t.Context(), "alice", now().Add(time.Duration(i)*time.Second), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if l := stored(t, client); len(l.Users) != 1 || len(l.Sessions) != 0 {
		t.Errorf("%+v", l)
	}
	if !s.Revoked("x", "alice", now().Add(49*time.Second)) || s.Revoked("x", "alice", now().Add(50*time.Second)) {
		t.Error("the wrong sessions ended")
	}
}

func TestRestartRemembers(t *testing.T) {
	client := fake.NewClientset()
	if err := synced(t, start(t, client)).RevokeSession(context.Background(), alices("sid")); err != nil {
		t.Fatal(err)
	}
	if !synced(t, start(t, client)).Revoked("sid", "alice", now()) {
		t.Error("a new replica lets a revoked session in")
	}
}

func TestConflictIsRetriedAndNothingIsLost(t *testing.T) {
	client := fake.NewClientset(secretWith(`{"sessions":{"theirs":` + fmt.Sprint(now().Add(time.Hour).UnixMilli()) + `}}`))
	var conflicts atomic.Int32
	client.PrependReactor("update", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		if conflicts.Add(1) <= 2 {
			return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), name, errors.New("changed"))
		}
		return false, nil, nil
	})
	s := synced(t, start(t, client))
	if err := s.RevokeSession(context.Background(), alices("ours")); err != nil {
		t.Fatal(err)
	}
	l := stored(t, client)
	if !l.Revoked("ours", "", now()) || !l.Revoked("theirs", "", now()) || conflicts.Load() < 3 {
		t.Errorf("stored %+v after %d attempts", l, conflicts.Load())
	}
}

func TestV7_APIAwayKeepsTheLastListAndWritesLater(t *testing.T) {
	client := fake.NewClientset(secretWith(`{"sessions":{"old":` + fmt.Sprint(now().Add(time.Hour).UnixMilli()) + `}}`))
	var away atomic.Bool
	client.PrependReactor("*", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		if away.Load() {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	s := synced(t, start(t, client))
	away.Store(true)
	if err := s.RevokeSession(context.Background(), alices("new")); err == nil {
		t.Fatal("nobody is told that the other replicas do not know")
	}
	if !s.Revoked("old", "", now()) || !s.Revoked("new", "", now()) || s.Unwritten() != 1 {
		t.Errorf("the local view is incomplete, %d unwritten", s.Unwritten())
	}
	away.Store(false)
	wait.Until(t, "the revocation is written once the API is back", func() bool { return s.Unwritten() == 0 })
	if l := stored(t, client); !l.Revoked("new", "", now()) || !l.Revoked("old", "", now()) {
		t.Errorf("stored %+v", l)
	}
}

func TestNotSyncedWhileTheAPIIsAwayOrTheListIsUnreadable(t *testing.T) {
	away := fake.NewClientset()
	away.PrependReactor("list", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("away")
	})
	broken := fake.NewClientset(secretWith(`{"sessions":`))
	a, b := start(t, away), start(t, broken)
	wait.Until(t, "the failed watch is counted", func() bool { return a.WatchErrors() > 0 })
	wait.Until(t, "the broken list is noticed", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.unreadable && b.listed })
	for _, s := range []*Store{a, b} {
		select {
		case <-s.Synced():
			t.Error("synced without having read the list: revoked sessions would revive")
		default:
		}
	}
	if err := b.RevokeSession(context.Background(), alices("sid")); err == nil {
		t.Error("a list that cannot be read was overwritten")
	}
	if _, err := broken.CoreV1().Secrets(ns).Update(context.Background(), secretWith(`{}`), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	synced(t, b)
}

func TestDeletingOrEmptyingTheSecretRevivesNobody(t *testing.T) {
	client := fake.NewClientset()
	a, b := synced(t, start(t, client)), synced(t, start(t, client))
	if err := a.RevokeSession(context.Background(), alices("sid")); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "both know", func() bool { return b.Revoked("sid", "", now()) })
	secrets := client.CoreV1().Secrets(ns)
	if _, err := secrets.Update(context.Background(), secretWith(""), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// The next revocation brings the Secret back; once b has seen it, it has seen the deletion.
	if err := a.RevokeSession(context.Background(), alices("later")); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "b follows on", func() bool { return b.Revoked("later", "", now()) })
	if !a.Revoked("sid", "", now()) || !b.Revoked("sid", "", now()) {
		t.Error("a session came back to life")
	}
}

func TestManyReplicasAndLogoutsAgree(t *testing.T) {
	client := fake.NewClientset()
	var version atomic.Int64
	client.PrependReactor("update", "secrets", optimisticLock(client, &version))
	replicas := []*Store{synced(t, start(t, client)), synced(t, start(t, client)), synced(t, start(t, client))}
	var wg sync.WaitGroup
	for i, s := range replicas {
		for j := range perUser / len(replicas) {
			wg.Go(func() { _ = s.RevokeSession(context.Background(), alices(fmt.Sprintf("%d-%d", i, j))) })
		}
	}
	wg.Wait()
	for _, s := range replicas {
		wait.Until(t, "every replica knows every logout", func() bool {
			for i := range replicas {
				for j := range perUser / len(replicas) {
					if !s.Revoked(fmt.Sprintf("%d-%d", i, j), "", now()) {
						return false
					}
				}
			}
			return s.Unwritten() == 0
		})
	}
}

// optimisticLock makes the fake API server refuse updates that are based on an older
// version, as the real one does.
func optimisticLock(client *fake.Clientset, version *atomic.Int64) clienttest.ReactionFunc {
	var mu sync.Mutex
	return func(action clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		sent := action.(clienttest.UpdateAction).GetObject().(*corev1.Secret).DeepCopy()
		current := "" // the object as it was created
		if v := version.Load(); v > 0 {
			current = fmt.Sprint(v)
		}
		if sent.ResourceVersion != current {
			return true, nil, apierrors.NewConflict(corev1.Resource("secrets"), name, errors.New("changed"))
		}
		sent.ResourceVersion = fmt.Sprint(version.Add(1))
		err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), sent, ns)
		return true, sent, err
	}
}

func TestOtherSecretsAreNotAskedFor(t *testing.T) {
	client := fake.NewClientset()
	s := synced(t, start(t, client))
	if err := s.RevokeSession(context.Background(), alices("sid")); err != nil {
		t.Fatal(err)
	}
	for _, action := range client.Actions() {
		if action.GetNamespace() != ns {
			t.Errorf("asked in namespace %q", action.GetNamespace())
		}
		var selector string
		switch a := action.(type) {
		case clienttest.ListAction:
			selector = a.GetListRestrictions().Fields.String()
		case clienttest.WatchAction:
			selector = a.GetWatchRestrictions().Fields.String()
		default:
			continue
		}
		if selector != "metadata.name="+name {
			t.Errorf("%s with the field selector %q sees other secrets", action.GetVerb(), selector)
		}
	}
}

func TestPruneMergeCovers(t *testing.T) {
	l := List{
		Sessions: map[string]Entry{"over": {Until: now().Add(-time.Hour).UnixMilli()}, "skewed": {Until: now().Add(-time.Minute).UnixMilli()}, "live": {Until: now().Add(time.Hour).UnixMilli()}},
		Users:    map[string]Epoch{"old": {Before: 1, Until: 2}, "new": {Before: 1, Until: now().Add(time.Hour).UnixMilli()}},
	}
	p := l.Prune(now())
	if len(p.Sessions) != 2 || len(p.Users) != 1 || p.Sessions["over"].Until != 0 {
		t.Errorf("%+v", p)
	}
	if !l.Covers(p) || p.Covers(l) {
		t.Error("Covers is wrong")
	}
	longer := List{Users: map[string]Epoch{"new": {Before: 5, Until: 1}}}
	if p.Covers(longer) || !p.Merge(longer).Covers(longer) || p.Merge(longer).Users["new"].Until != l.Users["new"].Until {
		t.Error("merging must keep the later of both times")
	}
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if diff := cmp.Diff(l, back, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if e, err := (List{}).Encode(); err != nil || !bytes.Equal(e, []byte("{}")) {
		t.Errorf("%s, %v", e, err)
	}
}

func TestTooLongListIsRefusedAloud(t *testing.T) {
	client := fake.NewClientset()
	s := synced(t, start(t, client))
	huge := strings.Repeat("x", maxBytes)
	err := s.RevokeUser(context.Background(), huge, time.Hour)
	if err == nil || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("%v", err)
	}
	if !s.Revoked("any", huge, now()) {
		t.Error("not even this replica knows")
	}
}
