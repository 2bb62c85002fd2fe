package revocation

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/perijove/perijove/pkg/auth/feed"
)

// pollEvery is how often the Secret is read beside the watch: a watch that died silently
// delivers nothing and reports no error. pollWait bounds one reading.
const (
	pollEvery = 20 * time.Second
	pollWait  = 10 * time.Second
)

// Run follows the Secret and writes what could not be written before. It returns when ctx
// is done.
func (s *Store) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.rewrite(ctx) })
	running.Go(func() { s.fresh.Keep(ctx, s.poll, "revocations", s.Log, s.reload) })
	err := s.feed.Run(ctx)
	running.Wait()
	return err
}

// feedSettings limits list and watch to the one object.
func (s *Store) feedSettings() feed.Settings {
	return feed.Settings{
		Name: "revocations", Namespace: s.Namespace, Log: s.Log,
		Fields: fields.OneTermEqualSelector(metav1.ObjectNameField, s.Secret).String(),
	}
}

// sink is the Store as its feed sees it.
type sink struct{ *Store }

func (s sink) Replace(ctx context.Context, all []*corev1.Secret) {
	found := false
	for _, secret := range all {
		if secret.Name == s.Secret {
			found = true
			s.read(ctx, secret)
		}
	}
	s.settle(func() {
		s.listed = true
		s.unreadable = s.unreadable && found
	})
}

func (s sink) Put(ctx context.Context, secret *corev1.Secret) {
	if secret.Name != s.Secret {
		return
	}
	s.read(ctx, secret)
	s.settle(func() {})
}

// Drop: a deleted Secret revives no session, since what was seen stays seen. It ends the wait for
// a Secret that could not be read.
func (s sink) Drop(_ context.Context, secret *corev1.Secret) {
	if secret.Name == s.Secret {
		s.settle(func() { s.unreadable = false })
	}
}

func (s *Store) read(ctx context.Context, secret *corev1.Secret) {
	l, err := Decode(secret.Data[dataKey])
	s.mu.Lock()
	s.unreadable = err != nil
	s.mu.Unlock()
	if err != nil {
		s.Log.ErrorContext(ctx, "the revocation list cannot be read; the last known one stays in force. Delete the secret's key to start anew",
			"secret", s.Namespace+"/"+s.Secret, "key", dataKey, "error", err)
		return
	}
	s.observe(l)
}

// settle changes the state of the feed and closes synced when the list is known. A Secret
// that does not exist revokes no session; one that cannot be read might.
func (s *Store) settle(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	if !s.listed || s.unreadable {
		return
	}
	select {
	case <-s.synced:
	default:
		s.fresh.Confirm(s.Now())
		close(s.synced)
	}
}

// reload takes in the Secret as it is now and confirms that the list is fresh. A Secret that
// does not exist revokes no session.
func (s *Store) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollWait)
	defer cancel()
	began := s.Now()
	secret, err := s.client.CoreV1().Secrets(s.Namespace).Get(ctx, s.Secret, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		s.settle(func() { s.unreadable = false })
	case err != nil:
		return fmt.Errorf("read revocations: %w", err)
	default:
		l, err := Decode(secret.Data[dataKey])
		if err != nil {
			return err
		}
		s.observe(l)
		s.settle(func() { s.unreadable = false })
	}
	s.fresh.Confirm(began)
	return nil
}
