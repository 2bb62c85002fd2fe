package liveness

import (
	"context"
	"io"
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
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/locking"
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
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	k := New(Settings{
		Accounts: account.New(e.client, account.Settings{Namespace: ns, Release: "rel", Log: log}), Revoked: revocation.New(e.client, revocation.Settings{Namespace: ns, Secret: "rel-revocations", Now: e.now, Log: log}),
		Idle: idleTime, Lifetime: lifetime, Every: each, Now: e.now, Log: log,
		Recheck: map[string]Rechecker{"ldap": func(ctx context.Context, a account.Account, since time.Time) (Answer, error) {
			e.asked.Add(1)
			return e.ask(ctx, a, since)
		}},
	}, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = k.Accounts.Run(ctx) })
	running.Go(func() { _ = k.Revoked.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for _, synced := range []<-chan struct{}{k.Accounts.Synced(), k.Revoked.Synced()} {
		wait.Closed(t, "synced", synced)
	}
	return k
}

func (e *env) session(id string) account.Session {
	return account.Session{ID: id, Method: "ldap", Since: e.now(), Expires: e.now().Add(lifetime), LastSeen: e.now()}
}

func (e *env) login(t *testing.T, k *Keeper, user, id string) account.Session {
	t.Helper()
	s := e.session(id)
	if err := k.LoggedIn(t.Context(), Login{User: access.User{Name: user, Groups: []string{"staff"}}, Session: s}); err != nil {
		t.Fatal(err)
	}
	return s
}

// knows waits until replica k has seen what another wrote of user.
func knows(t *testing.T, k *Keeper, user string, ok func(account.Account) bool) {
	t.Helper()
	wait.Until(t, "the other replica hears of it", func() bool { a, found := k.Accounts.Get(user); return found && ok(a) })
}

func hasSession(id string, seen time.Time) func(account.Account) bool {
	return func(a account.Account) bool { s, ok := a.Session(id); return ok && s.LastSeen.Equal(seen) }
}
