package revocation

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/test/wait"
)

// TestALogoutKeepsItsDeadline: the API refuses one write, then hangs. The background writer
// hangs with it, and a logout still answers within its own time.
func TestALogoutKeepsItsDeadline(t *testing.T) {
	client := fake.NewClientset()
	var away, hangs atomic.Bool
	release := make(chan struct{})
	client.PrependReactor("get", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
		if hangs.Load() {
			<-release
		}
		return away.Load(), nil, apierrors.NewServiceUnavailable("away")
	})
	defer close(release)
	s := synced(t, start(t, client))
	away.Store(true)
	if err := s.RevokeSession(t.Context(), alices("first")); err == nil {
		t.Fatal("negative control: the API refuses")
	}
	hangs.Store(true)
	wait.Until(t, "the background writer hangs", func() bool { return len(s.writing) == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.RevokeSession(ctx, alices("second")) }()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a logout with a deadline of 50 ms still waits after 5 s")
	}
	if !s.Revoked("second", "alice", now()) {
		t.Error("the session is not over on this replica")
	}
}

// TestUnreadableListThatIsDeleted: an administrator who deletes a broken Secret need not
// restart the replicas.
func TestUnreadableListThatIsDeleted(t *testing.T) {
	client := fake.NewClientset(secretWith("garbage"))
	s := start(t, client)
	wait.Until(t, "the broken list is noticed", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.listed && s.unreadable
	})
	select {
	case <-s.Synced():
		t.Fatal("negative control: a list that cannot be read might revoke a session")
	default:
	}
	if err := client.CoreV1().Secrets(ns).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	synced(t, s)
}
