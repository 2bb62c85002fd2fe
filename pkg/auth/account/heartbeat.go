package account

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
)

const (
	// beatEvery is how old a heartbeat gets before a replica writes the next one.
	beatEvery = 20 * time.Second
	// beatWait bounds the writing of one.
	beatWait = 10 * time.Second
	// beatKey is the Secret's key that holds the moment of writing.
	beatKey = "at"
)

// Age is how long ago the accounts here were known to be complete.
func (s *Store) Age() time.Duration { return s.fresh.Age() }

// Stale reports whether what other replicas wrote more than a minute ago may be unknown
// here: a revoked token, a disabled user (V7). What to do then is the caller's policy.
func (s *Store) Stale() bool { return s.fresh.Stale() }

// beatName names the heartbeat. It is no account's: those names begin with
// "<release>-account-".
func (s *Store) beatName() string { return s.Release + "-accounts-heartbeat" }

// prove writes a heartbeat unless one has arrived lately. All replicas share one Secret with
// the labels of an account, so its event comes the way of the accounts' events: a watch that
// died silently delivers no heartbeat. Reading all accounts again would prove the same and
// cost megabytes each time.
func (s *Store) prove(ctx context.Context) error {
	// One that was written and not heard says what it has to: writing again changes nothing.
	if s.fresh.Age() < beatEvery || s.Now().Sub(s.beaten) < beatEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, beatWait)
	defer cancel()
	if err := s.beat(ctx); err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) { // another replica's will do
		return fmt.Errorf("write the accounts' heartbeat: %w", err)
	}
	s.beaten = s.Now()
	return nil
}

func (s *Store) beat(ctx context.Context) error {
	secrets := s.client.CoreV1().Secrets(s.Namespace)
	secret, err := secrets.Get(ctx, s.beatName(), metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if missing {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: s.Namespace, Name: s.beatName(),
				Labels: map[string]string{contract.LabelAccount: "true", contract.LabelInstance: s.Release},
			},
			Type: corev1.SecretTypeOpaque,
		}
	} else if err != nil {
		return err
	}
	secret.Data = map[string][]byte{beatKey: []byte(s.Now().UTC().Format(time.RFC3339Nano))}
	if missing {
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		return err
	}
	_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

// heard takes in a heartbeat. The writer's clock may run ahead of this replica's.
func (s *Store) heard(secret *corev1.Secret) {
	at, err := time.Parse(time.RFC3339Nano, string(secret.Data[beatKey]))
	if err != nil {
		return
	}
	if now := s.Now(); at.After(now) {
		at = now
	}
	s.fresh.Confirm(at)
}
