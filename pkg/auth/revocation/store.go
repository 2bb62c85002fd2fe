package revocation

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/auth/feed"
)

// Settings is what a Store rests on. Fields must all be set.
type Settings struct {
	// Namespace and Secret name the object that holds the list.
	Namespace, Secret string
	Now               func() time.Time
	Log               *slog.Logger
}

// Store is one replica's view of the list. Make it with New and keep Run running.
type Store struct {
	client kubernetes.Interface
	Settings

	view    atomic.Pointer[List] // what Revoked answers from: last seen merged with pending
	mu      sync.Mutex           // guards seen, pending and the publishing of view
	seen    List                 // what the Secret said last
	pending List                 // revoked here and not yet seen in the Secret
	wake    chan struct{}
	writing chan struct{} // holds one value while a writer is at work: many logouts at once become one update

	feed       *feed.Feed
	fresh      *feed.Freshness
	synced     chan struct{} // closed after the first complete reading of the Secret
	listed     bool          // the feed has delivered its first list; guarded by mu
	unreadable bool          // the Secret's content is no list; guarded by mu
	poll       time.Duration // pollEvery; tests shorten it
}

// New returns a Store for one Secret.
func New(client kubernetes.Interface, s Settings) *Store {
	store := &Store{
		client: client, Settings: s, fresh: feed.NewFreshness(s.Now), poll: pollEvery,
		wake: make(chan struct{}, 1), writing: make(chan struct{}, 1), synced: make(chan struct{}),
	}
	store.feed = feed.New(client, sink{store}, store.feedSettings())
	store.view.Store(&List{})
	return store
}

// Revoked reports whether the session is over. It reads memory only.
func (s *Store) Revoked(id, user string, since time.Time) bool {
	return s.view.Load().Revoked(id, user, since)
}

// Synced is closed once the list was read. Before that no user may be let in: a restart
// would revive every revoked session.
func (s *Store) Synced() <-chan struct{} { return s.synced }

// Age is how long ago the list was known to be complete.
func (s *Store) Age() time.Duration { return s.fresh.Age() }

// Stale reports whether what other replicas ended more than a minute ago may be unknown
// here (V7). What to do then is the caller's policy.
func (s *Store) Stale() bool { return s.fresh.Stale() }

// WatchErrors counts failed attempts to follow the list since the start.
func (s *Store) WatchErrors() uint64 { return s.feed.Errors() }

// Unwritten is how many revocations only this replica knows.
func (s *Store) Unwritten() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.Len()
}

// publish must be called with mu held.
func (s *Store) publish() {
	merged := s.seen.Merge(s.pending)
	s.view.Store(&merged)
}

// observe takes in what the Secret holds. What it covers is pending no longer.
func (s *Store) observe(l List) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Merged, not replaced: an event that was under way when we wrote shows an older
	// list, and an administrator who edits the Secret must not bring a session back.
	s.seen = s.seen.Merge(l).Prune(s.Now()).Bound(perUser)
	s.pending = s.pending.Prune(s.Now())
	if s.seen.Covers(s.pending) {
		s.pending = List{}
	}
	s.publish()
}
