package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/perijove/perijove/pkg/auth/feed"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// Settings is what a Store rests on. Fields must all be set.
type Settings struct {
	// Namespace is where the accounts are. Release tells those of several installations in
	// one namespace apart.
	Namespace, Release string
	Now                func() time.Time
	Log                *slog.Logger
}

// Store is one replica's view of all accounts. Make it with New and keep Run running.
type Store struct {
	client kubernetes.Interface
	Settings

	view      *view
	feed      *feed.Feed
	fresh     *feed.Freshness
	beatEvery time.Duration // beatEvery; tests shorten it
	beaten    time.Time     // when this replica last wrote a heartbeat; prove's own
}

// New returns a Store for the accounts of one release.
func New(client kubernetes.Interface, s Settings) *Store {
	store := &Store{client: client, Settings: s, view: newView(), fresh: feed.NewFreshness(s.Now), beatEvery: beatEvery}
	store.feed = feed.New(client, sink{store}, store.feedSettings())
	return store
}

// Synced is closed once all accounts were read. Before that an ended session or a
// disabled user could be let in.
func (s *Store) Synced() <-chan struct{} { return s.feed.Synced() }

// Len is how many accounts are known.
func (s *Store) Len() int { return s.view.len() }

// Get returns the account of a user name from memory, without its sealed parts.
func (s *Store) Get(name string) (Account, bool) { return s.view.byName(name) }

// Groups returns the members of each group among those who have logged in and were not refused since,
// as the directory or provider named their groups last, in no order.
func (s *Store) Groups() map[string][]string { return s.view.groups() }

// ByLink returns the account that a login belongs to, from memory.
func (s *Store) ByLink(l identity.Link) (Account, bool) { return s.view.byLink(l) }

// ByProviderSession returns the account with a session that began in the session sid of
// an OIDC provider, from memory.
func (s *Store) ByProviderSession(provider, sid string) (Account, bool) {
	return s.view.byProviderSession(provider, sid)
}

// ByToken returns the account and the token with this hash, from memory. The token may
// have expired.
func (s *Store) ByToken(hash string) (Account, Token, bool) { return s.view.byToken(hash) }

// Load reads one account from Kubernetes, with its sealed parts. false: there is none.
func (s *Store) Load(ctx context.Context, name string) (Account, bool, error) {
	secret, err := s.client.CoreV1().Secrets(s.Namespace).Get(ctx, s.secretName(name), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Account{}, false, nil
	}
	if err != nil {
		return Account{}, false, fmt.Errorf("read account of %q: %w", name, err)
	}
	v, err := s.decode(secret)
	if err != nil {
		return Account{}, false, err
	}
	s.view.set(secret.UID, v)
	return v.Account, true, nil
}

// Update changes one account, or makes it. change gets the newest state, with its sealed
// parts, and may be called several times; when it returns an error, nothing is written
// and Update returns that error. Readers of this replica see the change at once. A
// change that changes nothing is not written.
func (s *Store) Update(ctx context.Context, name string, change func(*Account) error) error {
	if err := server.ValidUser(name); err != nil {
		return fmt.Errorf("account: %w", err)
	}
	// An account that is not in memory most likely does not exist: the first attempt makes it
	// without looking. A class of new users logs in with one call each.
	_, known := s.view.byName(name)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		look := known
		known = true
		return s.update(ctx, name, look, change)
	})
	if err != nil {
		return fmt.Errorf("write account of %q: %w", name, err)
	}
	return nil
}

func (s *Store) update(ctx context.Context, name string, look bool, change func(*Account) error) error {
	secrets := s.client.CoreV1().Secrets(s.Namespace)
	secret, v, missing := s.newSecret(name), stored{Account: Account{Name: name}}, true
	if look {
		found, err := secrets.Get(ctx, s.secretName(name), metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if missing = err != nil; !missing {
			if v, err = s.decode(found); err != nil {
				return err
			}
			secret = found
		}
	}
	if err := change(&v.Account); err != nil {
		return err
	}
	v.Name, v.Version = name, v.Version+1
	before := secret.Data[dataKey]
	if err := s.encode(v, secret); err != nil {
		return err
	}
	if same(before, v) {
		return nil
	}
	var err error
	if missing {
		secret, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) { // another replica was faster: a conflict like any other
			return apierrors.NewConflict(corev1.Resource("secrets"), s.secretName(name), err)
		}
	} else {
		secret, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	s.view.set(secret.UID, v)
	return nil
}

// Claim returns the user name that belongs to a login that shows links, the strongest first,
// and writes change into its account in the same step. The first login takes the name it
// wants; afterwards the login keeps that name, whatever it wants, and no other login gets it:
// ErrTaken or ErrReused (O9, L9). Two first logins at once for one name: one gets it.
//
// A login that had its name before keeps it while Kubernetes is away: then name is returned
// together with the error of writing the change.
//
// One login that wants two names on two replicas within the same second may get both;
// from the next login on it is led to the older one.
func (s *Store) Claim(ctx context.Context, shown []identity.Link, wanted string, change func(*Account)) (name string, err error) {
	if !identity.Complete(shown) {
		return "", errors.New("claim user name: a login needs an issuer and a subject")
	}
	name, known, err := s.linked(ctx, shown)
	if err != nil {
		return "", err
	}
	if !known {
		name = wanted
	}
	err = s.Update(ctx, name, func(a *Account) error {
		if err := a.claim(shown, s.Now()); err != nil {
			return fmt.Errorf("secret %s: %w", s.secretName(name), err) // an administrator may delete it
		}
		change(a)
		return nil
	})
	if err != nil && (!known || errors.Is(err, ErrTaken)) {
		return "", err
	}
	return name, err
}

// linked finds the name that a login has already: in memory, and in Kubernetes when that may
// be stale.
func (s *Store) linked(ctx context.Context, shown []identity.Link) (string, bool, error) {
	for _, link := range shown {
		if a, ok := s.ByLink(link); ok && identity.Same(a.Links, shown) {
			return a.Name, true, nil
		}
	}
	if !s.Stale() {
		return "", false, nil
	}
	for _, link := range shown {
		if name, ok, err := s.lookFor(ctx, link, shown); ok || err != nil {
			return name, ok, err
		}
	}
	return "", false, nil
}

// lookFor finds in Kubernetes the name of a login by one of its links.
func (s *Store) lookFor(ctx context.Context, link identity.Link, shown []identity.Link) (string, bool, error) {
	list, err := s.client.CoreV1().Secrets(s.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: s.selector() + "," + contract.LabelAccountLink + linkKey(link),
	})
	if err != nil {
		return "", false, fmt.Errorf("look for the account of a login: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Secret) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for i := range list.Items {
		v, err := s.decode(&list.Items[i])
		if err != nil {
			return "", false, err
		}
		if slices.Contains(v.Links, link) && identity.Same(v.Links, shown) {
			s.view.set(list.Items[i].UID, v)
			return v.Name, true, nil
		}
	}
	return "", false, nil
}
