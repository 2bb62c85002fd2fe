package liveness

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/server/access"
)

// Rechecker asks the identity source that let a user in for the user's present status, groups
// and admin flag. since is when the session in question began: a password that was changed
// later ends it; zero does not matter. access.ErrNotAllowed and access.ErrCredentials end
// everything of the user, any other error says nothing about them.
type Rechecker func(ctx context.Context, a account.Account, since time.Time) (Answer, error)

// ErrTokenRefused says, beside access.ErrNotAllowed, that the provider no longer takes the
// refresh token and said nothing about the user: their session there may have ended.
var ErrTokenRefused = errors.New("the provider refuses the refresh token")

// Answer is what a Rechecker found out.
type Answer struct {
	User access.User
	// Links is what the source shows of the person now, the strongest first; nil: nothing new.
	Links []identity.Link
	// Refresh is the sealed refresh token to keep from now on, whatever the error says:
	// providers take one only once. "" keeps the old one.
	Refresh string
}

// Settings is what a Keeper goes by. Fields must all be set.
type Settings struct {
	// Idle is how long an unused session lives, Lifetime how long any lives.
	Idle, Lifetime time.Duration
	// Recheck is how users of each method of logging in are asked about again, Every how
	// often at most.
	Recheck map[string]Rechecker
	Every   time.Duration
	// Strict refuses all users while revocations are stale (V7).
	Strict bool
	Now    func() time.Time
	Log    *slog.Logger
}

// Keeper is one replica's view. Make it with New and keep Run running.
type Keeper struct {
	accounts *account.Store
	revoked  *revocation.Store
	Settings

	mu       sync.Mutex
	usages   map[string]*usage // by session ID or token ID
	silent   map[string]bool   // methods that gave no answer last time
	rechecks *prometheus.CounterVec
}

// New returns a Keeper over the two stores, which the caller runs.
func New(accounts *account.Store, revoked *revocation.Store, reg prometheus.Registerer, s Settings) *Keeper {
	k := &Keeper{
		accounts: accounts, revoked: revoked, Settings: s, usages: map[string]*usage{}, silent: map[string]bool{},
		rechecks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_authz_rechecks_total",
			Help: "Active users that the directory or provider was asked about again, by method and result.",
		}, []string{"method", "result"}),
	}
	reg.MustRegister(k.rechecks,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_accounts", Help: "Users that the platform remembers.",
		}, func() float64 { return float64(accounts.Len()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_revocations_age_seconds",
			Help: "How old the list of ended sessions may be. Above 60 it is stale: logouts elsewhere may not be seen here.",
		}, func() float64 { return min(revoked.Age().Seconds(), 1e9) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_accounts_age_seconds",
			Help: "How old what is known of accounts may be. Above 60 it is stale: revoked API tokens and disabled users may not be known here.",
		}, func() float64 { return min(accounts.Age().Seconds(), 1e9) }),
	)
	return k
}
