package liveness

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

const (
	ns       = "perijove"
	idleTime = 2 * time.Hour
	lifetime = 12 * time.Hour
	each     = 5 * time.Minute
)

// env is some replicas of authz over one Kubernetes API, with one clock.
type env struct {
	client *fake.Clientset
	away   atomic.Bool // the API
	calls  atomic.Int64
	clock  atomic.Int64
	ask    Rechecker // what the directory answers
	asked  atomic.Int64
	log    logs.Buffer
}

func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{client: locking.NewClientset()}
	e.client.PrependReactor("*", "*", func(clienttest.Action) (bool, runtime.Object, error) {
		e.calls.Add(1)
		if e.away.Load() {
			return true, nil, apierrors.NewServiceUnavailable("away")
		}
		return false, nil, nil
	})
	return e
}

func (e *env) now() time.Time {
	return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).Add(time.Duration(e.clock.Load()))
}

func (e *env) pass(d time.Duration) { e.clock.Add(int64(d)) }

// replica starts one more authz. Its Keeper's Run is left to the test.
func (e *env) replica(t *testing.T) *Keeper {
	t.Helper()
	log := slog.New(slog.NewTextHandler(&e.log, nil))
	k := New(
		account.New(e.client, account.Settings{Namespace: ns, Release: "rel", Now: e.now, Log: log}),
		revocation.New(e.client, revocation.Settings{Namespace: ns, Secret: "rel-revocations", Now: e.now, Log: log}),
		prometheus.NewRegistry(),
		Settings{
			Idle: idleTime, Lifetime: lifetime, Every: each, Now: e.now, Log: log,
			Recheck: map[string]Rechecker{"ldap": func(ctx context.Context, a account.Account, since time.Time) (Answer, error) {
				e.asked.Add(1)
				return e.ask(ctx, a, since)
			}},
		})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = k.accounts.Run(ctx) })
	running.Go(func() { _ = k.revoked.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, synced := range []<-chan struct{}{k.accounts.Synced(), k.revoked.Synced()} {
		wait.Closed(t, "synced", synced)
	}
	return k
}

// session is a session of alice's that begins now.
func (e *env) session(id string) session.Session {
	return session.Session{User: access.User{Name: "alice"}, ID: id, Method: "ldap", Since: e.now(), Expires: e.now().Add(lifetime)}
}

// recorded is s as the account lists it.
func recorded(s session.Session) account.Session {
	return account.Session{ID: s.ID, Method: s.Method, Since: s.Since, Expires: s.Expires, LastSeen: s.Since}
}

// loginOf is the login that s began with.
func loginOf(s session.Session) Login {
	user := s.User
	user.Groups = []string{"staff"}
	return Login{User: user, Links: []identity.Link{identity.Named(user.Name)}, Session: recorded(s)}
}

// login records a login of alice's.
func (e *env) login(t *testing.T, k *Keeper, id string) session.Session {
	t.Helper()
	s := e.session(id)
	if name, err := k.LogIn(t.Context(), loginOf(s)); err != nil || name != "alice" {
		t.Fatal(name, err)
	}
	return s
}

func ended(k *Keeper, s session.Session) bool {
	_, ok := k.User(s)
	return !ok
}

// knows waits until replica k has seen what another wrote of user.
func knows(t *testing.T, k *Keeper, user string, ok func(account.Account) bool) {
	t.Helper()
	wait.Until(t, "the other replica hears of it", func() bool { a, found := k.accounts.Get(user); return found && ok(a) })
}

func hasSession(id string, seen time.Time) func(account.Account) bool {
	return func(a account.Account) bool { s, ok := a.Session(id); return ok && s.LastSeen.Equal(seen) }
}
