package liveness

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
)

// Recheck asks whoever let a person in what holds of them now. since is when the session
// in question began: a password that was changed later ends it; zero does not matter.
// Errors are identity's: ErrNotAllowed and ErrCredentials end everything of the person,
// any other error says nothing about them.
type Rechecker func(ctx context.Context, a account.Account, since time.Time) (Answer, error)

// Answer is what a Recheck found out.
type Answer struct {
	User access.User
	// Refresh is the sealed refresh token to keep from now on, whatever the error says:
	// providers take one only once. "" keeps the old one.
	Refresh string
}

// Settings is what a Keeper rests on. Fields must all be set.
type Settings struct {
	Accounts *account.Store
	Revoked  *revocation.Store
	// Idle is how long a session lives that nobody uses, Lifetime how long any lives.
	Idle, Lifetime time.Duration
	// Recheck is how each method of logging in is asked again, Every how often at most.
	Recheck map[string]Rechecker
	Every   time.Duration
	// Strict refuses everybody while the list of revocations is stale (V7).
	Strict bool
	Now    func() time.Time
	Log    *slog.Logger
}

// Keeper is one replica's view. Make it with New and keep Run running.
type Keeper struct {
	Settings
	mu       sync.Mutex
	traces   map[string]*usage // by session ID or token ID
	silent   map[string]bool   // methods that gave no answer last time
	rechecks *prometheus.CounterVec
}

// New returns a Keeper.
func New(s Settings, reg prometheus.Registerer) *Keeper {
	k := &Keeper{
		Settings: s, traces: map[string]*usage{}, silent: map[string]bool{},
		rechecks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_authz_rechecks_total",
			Help: "Active people that the directory or provider was asked about again, by method and result.",
		}, []string{"method", "result"}),
	}
	reg.MustRegister(k.rechecks,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_accounts", Help: "People that the platform remembers.",
		}, func() float64 { return float64(s.Accounts.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_revocations_age_seconds",
			Help: "How old the list of ended sessions may be. Above 60 it is stale: logouts elsewhere may not be seen here.",
		}, func() float64 { return min(s.Revoked.Age().Seconds(), 1e9) }),
	)
	return k
}

// Over reports whether the session id of user, which began at since, is over before its
// time: revoked, unused for too long, or its person disabled.
func (k *Keeper) Ended(id, user string, since time.Time) bool {
	if k.Revoked.Revoked(id, user, since) {
		return true
	}
	a, _ := k.Accounts.Get(user)
	return a.Disabled || idle(a, id, since, k.lastActive(id), k.Now(), k.Idle)
}

// idle is the rule for one session. last is what this replica itself saw. A session that
// the account does not list yet was begun a moment ago, or while Kubernetes was away:
// what was revoked is known otherwise.
func idle(a account.Account, id string, since, last, now time.Time, limit time.Duration) bool {
	if s, ok := a.Session(id); ok {
		since = s.LastSeen
	}
	if last.After(since) {
		since = last
	}
	return now.Sub(since) >= limit
}

// Current returns user as the directory described them last: the cookie says what held
// at the login.
func (k *Keeper) Current(user access.User) access.User {
	a, ok := k.Accounts.Get(user.Name)
	if !ok || a.Method == "" { // nobody has said anything about this person yet
		return user
	}
	user.Admin, user.Groups = a.Admin, a.Groups
	if a.DisplayName != "" {
		user.DisplayName = a.DisplayName
	}
	return user
}

// Token returns the owner, as they stand now, of an API token and the token itself. ok is
// false for what is no living token of a person in good standing.
func (k *Keeper) Token(token string) (owner access.User, t account.Token, ok bool) {
	hash, ok := tokens.Hash(token)
	if !ok {
		return access.User{}, account.Token{}, false
	}
	a, t, ok := k.Accounts.ByToken(hash)
	if !ok || a.Disabled || !k.Now().Before(t.Expires) || k.Revoked.Revoked(tokenID(t.ID), "", t.Created) {
		return access.User{}, account.Token{}, false
	}
	return k.Current(access.User{Name: a.Name}), t, true
}

// tokenID is a token in the list of revocations, where it can be mistaken for no session:
// a session's ID has no colon.
func tokenID(id string) string { return "token:" + id }

// Refuse reports whether nobody may be let in just now, since revocations may be unknown.
func (k *Keeper) Refuse() bool { return k.Strict && k.Revoked.Stale() }

// Stale reports whether revocations may be unknown, whatever the mode.
func (k *Keeper) Stale() bool { return k.Revoked.Stale() }
