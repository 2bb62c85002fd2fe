package revocation

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

const (
	// dataKey is the Secret's key that holds the list.
	dataKey = "revoked.json"
	// maxBytes keeps the Secret under Kubernetes' limit of 1 MiB.
	maxBytes = 900 << 10
	// perUser is how many single sessions of one user the list holds; more become an epoch.
	perUser = 50
	// retryEvery is how long an unwritten revocation waits for the next attempt.
	retryEvery = 3 * time.Second
	// writeWait bounds one attempt of the background writer.
	writeWait = 10 * time.Second
)

// Session is one session that ends before its time.
type Session struct {
	ID, User string
	// Since is when it began, Until when it would have ended.
	Since, Until time.Time
}

// RevokeSession ends one session. It holds on this replica at once, whatever is returned; an
// error says that the other replicas do not know yet and that the writing goes on in the
// background.
func (s *Store) RevokeSession(ctx context.Context, one Session) error {
	return s.add(ctx, List{Sessions: map[string]Entry{
		one.ID: {User: one.User, Since: one.Since.UnixMilli(), Until: one.Until.UnixMilli()},
	}})
}

// RevokeUser ends every session of user that began by now and lasts at most lifetime.
// Errors as in RevokeSession.
func (s *Store) RevokeUser(ctx context.Context, user string, lifetime time.Duration) error {
	return s.RevokeBefore(ctx, user, s.Now(), lifetime)
}

// RevokeBefore ends every session of user that began at or before a moment and lasts at
// most lifetime. However often a user logs in, this takes one entry of the list. Errors as
// in RevokeSession.
func (s *Store) RevokeBefore(ctx context.Context, user string, before time.Time, lifetime time.Duration) error {
	return s.add(ctx, List{Users: map[string]Epoch{user: {Before: before.UnixMilli(), Until: before.Add(lifetime).UnixMilli()}}})
}

func (s *Store) add(ctx context.Context, l List) error {
	s.mu.Lock()
	s.pending = s.pending.Merge(l).Bound(perUser)
	s.publish()
	s.mu.Unlock()
	if err := s.write(ctx); err != nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return err
	}
	return nil
}

// write merges what is pending into the Secret, again after each conflict with another
// replica, and drops what has expired. It ends with ctx even while another writer hangs.
func (s *Store) write(ctx context.Context) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another write of revocations: %w", ctx.Err())
	}
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	if (List{}).Covers(pending) {
		return nil // another writer took it along
	}
	var written List
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		written, err = s.put(ctx, pending)
		return err
	})
	if err != nil {
		return fmt.Errorf("write revocations to secret %s/%s: %w", s.Namespace, s.Secret, err)
	}
	s.observe(written)
	return nil
}

// put writes pending into the Secret once and returns what the Secret then holds.
func (s *Store) put(ctx context.Context, pending List) (written List, err error) {
	secrets := s.client.CoreV1().Secrets(s.Namespace)
	secret, err := secrets.Get(ctx, s.Secret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Secret}}
	} else if err != nil {
		return List{}, err
	}
	if written, err = s.addTo(secret, pending); err != nil {
		return List{}, err
	}
	if !missing {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
		return written, err
	}
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // another replica was faster: a conflict like any other
		err = apierrors.NewConflict(corev1.Resource("secrets"), s.Secret, err)
	}
	return written, err
}

// addTo writes pending and all that the Secret revokes already into it, without what
// has expired.
func (s *Store) addTo(secret *corev1.Secret, pending List) (List, error) {
	old, err := Decode(secret.Data[dataKey])
	if err != nil {
		// A list that cannot be read must not be overwritten: it may revoke a session.
		return List{}, err
	}
	l := old.Merge(pending).Prune(s.Now())
	// Many users together may fill the list too. Then each keeps fewer single sessions, and
	// logouts end more than was asked for rather than nothing.
	for _, keep := range []int{perUser, perUser / 5, 1, 0} {
		l = l.Bound(keep)
		data, err := l.Encode()
		if err != nil {
			return List{}, err
		}
		if len(data) <= maxBytes {
			secret.Data = map[string][]byte{dataKey: data}
			return l, nil
		}
	}
	return List{}, errors.New("the list does not fit into a Secret; shorten the session lifetime")
}

// rewrite writes pending revocations again until they are in the Secret.
func (s *Store) rewrite(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for {
			err := s.tryWrite(ctx)
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				s.Log.ErrorContext(ctx, "revocations are known to this replica only; trying again", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryEvery):
			}
		}
	}
}

func (s *Store) tryWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeWait)
	defer cancel()
	return s.write(ctx)
}
