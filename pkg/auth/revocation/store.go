package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
)

// dataKey is the Secret's key that holds the list.
const dataKey = "revoked.json"

// maxBytes keeps the Secret under Kubernetes' limit of 1 MiB; about 18,000 logouts
// within one session lifetime.
const maxBytes = 900 << 10

// retryEvery is how long an unwritten revocation waits for the next attempt.
const retryEvery = 3 * time.Second

// MaxAge is how old the list may be at most before it counts as stale. The watch brings
// changes within a moment; should it have been cut without anybody noticing, a reading
// every pollEvery shows it.
const (
	MaxAge    = time.Minute
	pollEvery = 20 * time.Second
	pollWait  = 10 * time.Second
)

// Store is one replica's view of the list. Make it with New and keep Run running.
type Store struct {
	client    kubernetes.Interface
	namespace string
	name      string
	now       func() time.Time
	log       *slog.Logger

	view    atomic.Pointer[List] // what Revoked answers from: last seen merged with pending
	mu      sync.Mutex           // guards seen, pending and the publishing of view
	seen    List                 // what the Secret said last
	pending List                 // revoked here and not yet seen in the Secret
	wake    chan struct{}
	writing sync.Mutex // one writer at a time: many logouts at once become one update

	synced      chan struct{} // closed after the first complete reading of the Secret
	listed      bool          // the informer has delivered its first list; guarded by mu
	unreadable  bool          // the Secret's content is no list; guarded by mu
	watchErrors atomic.Uint64
	fresh       atomic.Pointer[time.Time] // when the last complete reading began; nil for never
	poll        time.Duration             // pollEvery; tests shorten it
}

// New returns a Store for the Secret namespace/name. now is the clock.
func New(client kubernetes.Interface, namespace, name string, now func() time.Time, log *slog.Logger) *Store {
	s := &Store{
		client: client, namespace: namespace, name: name, now: now, log: log,
		wake: make(chan struct{}, 1), synced: make(chan struct{}), poll: pollEvery,
	}
	s.view.Store(&List{})
	return s
}

// Revoked reports whether the session is over. It reads memory only.
func (s *Store) Revoked(id, user string, since time.Time) bool {
	return s.view.Load().Revoked(id, user, since)
}

// Synced is closed once the list was read. Before that nobody may be let in: a restart
// would revive every revoked session.
func (s *Store) Synced() <-chan struct{} { return s.synced }

// Age is how long ago the list was known to be complete.
func (s *Store) Age() time.Duration {
	fresh := s.fresh.Load()
	if fresh == nil {
		return math.MaxInt64
	}
	return s.now().Sub(*fresh)
}

// Stale reports whether what other replicas ended in the last MaxAge may be unknown here
// (V7). What to do then is the caller's policy.
func (s *Store) Stale() bool { return s.Age() > MaxAge }

// RevokeSession ends one session, which would have ended at until. It holds on this
// replica at once, whatever is returned; an error says that the other replicas do not
// know yet and that the writing goes on in the background.
func (s *Store) RevokeSession(ctx context.Context, id string, until time.Time) error {
	return s.add(ctx, List{Sessions: map[string]int64{id: until.UnixMilli()}})
}

// RevokeUser ends every session of user that began by now and lasts at most lifetime.
// Errors as in RevokeSession.
func (s *Store) RevokeUser(ctx context.Context, user string, lifetime time.Duration) error {
	return s.RevokeBefore(ctx, user, s.now(), lifetime)
}

// RevokeBefore ends every session of user that began at or before a moment and lasts at
// most lifetime. However often somebody logs in, this takes one entry of the list, where
// ending sessions one by one would fill it. Errors as in RevokeSession.
func (s *Store) RevokeBefore(ctx context.Context, user string, before time.Time, lifetime time.Duration) error {
	return s.add(ctx, List{Users: map[string]Epoch{user: {Before: before.UnixMilli(), Until: before.Add(lifetime).UnixMilli()}}})
}

func (s *Store) add(ctx context.Context, l List) error {
	s.mu.Lock()
	s.pending = s.pending.Merge(l)
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

// publish must be called with mu held.
func (s *Store) publish() {
	merged := s.seen.Merge(s.pending)
	s.view.Store(&merged)
}

// write merges what is pending into the Secret, again after each conflict with another
// replica, and drops what has expired.
func (s *Store) write(ctx context.Context) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	pending := s.pending
	s.mu.Unlock()
	if (List{}).Covers(pending) {
		return nil // another writer took it along
	}
	secrets := s.client.CoreV1().Secrets(s.namespace)
	var written List
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, err := secrets.Get(ctx, s.name, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if missing {
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}
		} else if err != nil {
			return err
		}
		if written, err = s.addTo(secret, pending); err != nil {
			return err
		}
		if !missing {
			_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
			return err
		}
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // another replica was faster: a conflict like any other
			return apierrors.NewConflict(corev1.Resource("secrets"), s.name, err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write revocations to secret %s/%s: %w", s.namespace, s.name, err)
	}
	s.observe(written)
	return nil
}

// addTo writes pending and all that the Secret revokes already into it, without what
// has expired.
func (s *Store) addTo(secret *corev1.Secret, pending List) (List, error) {
	old, err := Decode(secret.Data[dataKey])
	if err != nil {
		// A list that cannot be read must not be overwritten: it may revoke someone.
		return List{}, err
	}
	l := old.Merge(pending).Prune(s.now())
	data, err := l.Encode()
	if err != nil {
		return List{}, err
	}
	if len(data) > maxBytes {
		return List{}, fmt.Errorf("the list has %d bytes and does not fit into a Secret; shorten the session lifetime", len(data))
	}
	secret.Data = map[string][]byte{dataKey: data}
	return l, nil
}

// observe takes in what the Secret holds. What it covers is pending no longer.
func (s *Store) observe(l List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Merged, not replaced: an event that was under way when we wrote shows an older
	// list, and whoever edits the Secret by hand must not bring a session back.
	s.seen = s.seen.Merge(l).Prune(s.now())
	s.pending = s.pending.Prune(s.now())
	if s.seen.Covers(s.pending) {
		s.pending = List{}
	}
	s.publish()
	s.settle()
}

// Run watches the Secret and writes what could not be written before. It returns when
// ctx is done.
func (s *Store) Run(ctx context.Context) error {
	informer := cache.NewSharedInformer(s.listWatch(), &corev1.Secret{}, 0)
	err := informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
		s.watchErrors.Add(1)
		s.log.WarnContext(ctx, "the revocation list cannot be watched; the last known one stays in force", "error", err)
	})
	if err != nil {
		return fmt.Errorf("watch revocations: %w", err)
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.read(ctx, o) },
		UpdateFunc: func(_, o any) { s.read(ctx, o) },
		// A deleted Secret revives nobody: what was seen stays seen.
	})
	if err != nil {
		return fmt.Errorf("watch revocations: %w", err)
	}
	var running sync.WaitGroup
	running.Go(func() { s.rewrite(ctx) })
	running.Go(func() { s.follow(ctx) })
	running.Go(func() {
		if cache.WaitForCacheSync(ctx.Done(), handler.HasSynced) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.listed = true
			s.settle()
		}
	})
	informer.RunWithContext(ctx)
	running.Wait()
	return nil
}

// follow reads the list at short intervals beside the watch, and says when that fails
// for too long and when it works again.
func (s *Store) follow(ctx context.Context) {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	stale := false
	for {
		began := s.now()
		err := s.reload(ctx)
		if err == nil {
			s.fresh.Store(&began)
		}
		if ctx.Err() == nil && s.fresh.Load() != nil && s.Stale() != stale {
			if stale = !stale; stale {
				s.log.ErrorContext(ctx, "the revocation list is stale: sessions that other replicas end may go on here", "age", s.Age().String(), "error", err)
			} else {
				s.log.InfoContext(ctx, "the revocation list is up to date again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// reload takes in the Secret as it is now; one that is not there revokes nobody.
func (s *Store) reload(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollWait)
	defer cancel()
	secret, err := s.client.CoreV1().Secrets(s.namespace).Get(ctx, s.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	l, err := Decode(secret.Data[dataKey])
	if err != nil {
		return err
	}
	s.observe(l)
	return nil
}

// settle must be called with mu held. A Secret that is not there revokes nobody; one
// that cannot be read might.
func (s *Store) settle() {
	if !s.listed || s.unreadable {
		return
	}
	select {
	case <-s.synced:
	default:
		if now := s.now(); s.fresh.Load() == nil {
			s.fresh.Store(&now)
		}
		close(s.synced)
	}
}

// WatchErrors counts failed attempts to follow the list since the start.
func (s *Store) WatchErrors() uint64 { return s.watchErrors.Load() }

// Unwritten is how many revocations only this replica knows.
func (s *Store) Unwritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending.Sessions) + len(s.pending.Users)
}

// listWatch limits list and watch to the one object, which is also all that the Role
// needs to allow.
func (s *Store) listWatch() cache.ListerWatcher {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, s.name).String()
	secrets := s.client.CoreV1().Secrets(s.namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return secrets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return secrets.Watch(ctx, o)
		},
	}, s.client)
}

func (s *Store) read(ctx context.Context, o any) {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Name != s.name {
		return
	}
	l, err := Decode(secret.Data[dataKey])
	s.mu.Lock()
	s.unreadable = err != nil
	s.mu.Unlock()
	if err != nil {
		s.log.ErrorContext(ctx, "the revocation list cannot be read; the last known one stays in force. Delete the secret's key to start anew",
			"secret", s.namespace+"/"+s.name, "key", dataKey, "error", err)
		return
	}
	s.observe(l)
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
			err := s.write(ctx)
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				s.log.ErrorContext(ctx, "revocations are known to this replica only; trying again", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryEvery):
			}
		}
	}
}
