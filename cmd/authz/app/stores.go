package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/login"
	"github.com/perijove/perijove/pkg/auth/login/ldaplogin"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/run/telemetry"
)

// Names of ways to log in, as they are kept in sessions and accounts.
const (
	methodLDAP = "ldap"
	methodOIDC = "oidc"
)

// stores is what this replica remembers of users.
type stores struct {
	accounts *account.Store
	revoked  *revocation.Store
	keeper   *liveness.Keeper
}

func newStores(cfg Config, client kubernetes.Interface, directory *ldaplogin.Login, providers []*oidclogin.Provider, reg prometheus.Registerer, log *slog.Logger) stores {
	k := cfg.Kubernetes
	namespace := k.AccountsNamespace
	if namespace == "" {
		namespace = k.Namespace
	}
	recheck := map[string]liveness.Rechecker{}
	if directory != nil {
		recheck[methodLDAP] = recheckIn(directory)
	}
	if len(providers) > 0 {
		recheck[methodOIDC] = recheckAt(providers)
	}
	s := stores{
		accounts: account.New(client, account.Settings{Namespace: namespace, Release: k.Release, Now: time.Now, Log: log}),
		revoked:  revocation.New(client, revocation.Settings{Namespace: k.Namespace, Secret: k.RevocationSecret, Now: time.Now, Log: log}),
	}
	s.keeper = liveness.New(s.accounts, s.revoked, reg, liveness.Settings{
		Idle: cfg.SessionIdle, Lifetime: cfg.SessionLifetime, Recheck: recheck, Every: cfg.Recheck,
		Strict: cfg.RevocationMode == strict, Now: time.Now, Log: log,
	})
	watchMetrics(reg, s.revoked)
	return s
}

// run keeps the stores up to date until ctx is done.
func (s stores) run(ctx context.Context, g *errgroup.Group, ready *telemetry.Health) {
	g.Go(func() error { return s.revoked.Run(ctx) })
	g.Go(func() error { return s.accounts.Run(ctx) })
	g.Go(func() error {
		if !s.waitSynced(ctx, ready) {
			return nil
		}
		return s.keeper.Run(ctx)
	})
}

// Checks that must hold before any user is let in.
const (
	checkRevocations = "revocations"
	checkAccounts    = "accounts"
)

// waitSynced waits until revocations and accounts are loaded; false when ctx is done before.
func (s stores) waitSynced(ctx context.Context, ready *telemetry.Health) bool {
	for _, part := range []struct {
		check  string
		synced <-chan struct{}
	}{{checkRevocations, s.revoked.Synced()}, {checkAccounts, s.accounts.Synced()}} {
		select {
		case <-part.synced:
			ready.Set(part.check, nil)
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// directory is what checks passwords; nil when there are only providers.
func (c Config) directory() *ldaplogin.Login {
	if !c.hasLDAP() {
		return nil
	}
	return ldaplogin.New(c.LDAP)
}

// checker asks the directory about a password; nil when there is none.
func checker(directory *ldaplogin.Login, log *slog.Logger) login.Checker {
	if directory == nil {
		return nil
	}
	return proving(directory.Check, log)
}

// proving makes logins of what check finds out. It warns once if entries have no lasting id:
// then a name that the directory gives to a new person opens the old person's account (L9).
func proving(check func(ctx context.Context, username, password string) (ldaplogin.Person, error), log *slog.Logger) login.Checker {
	var once sync.Once
	return func(ctx context.Context, username, password string) (login.Proof, error) {
		person, err := check(ctx, username, password)
		if err == nil && !identity.HasID(person.Links) {
			once.Do(func() {
				log.WarnContext(ctx, "the directory shows no lasting id of its entries (entryUUID, objectGUID or the like): a user name that it gives to another person opens the first one's account; set ldap.idAttribute", "user", person.Name)
			})
		}
		return login.Proof{User: person.User, Links: person.Links}, err
	}
}

// recheckIn looks a user up in the directory again, by what the account is linked to.
func recheckIn(directory *ldaplogin.Login) liveness.Rechecker {
	return func(ctx context.Context, a account.Account, since time.Time) (liveness.Answer, error) {
		known := a.Links
		if len(known) == 0 { // the account was lost while the user was here
			known = []identity.Link{identity.Named(a.Name)}
		}
		person, err := directory.Recheck(ctx, a.Name, known, since)
		return liveness.Answer{User: person.User, Links: person.Links}, err
	}
}

func watchMetrics(reg prometheus.Registerer, revoked *revocation.Store) {
	reg.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "perijove_authz_revocation_watch_errors_total",
			Help: "Failed attempts to follow the list of ended sessions. Rising: logouts elsewhere are not seen here.",
		}, func() float64 { return float64(revoked.WatchErrors()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "perijove_authz_revocations_unwritten",
			Help: "Ended sessions that only this replica knows.",
		}, func() float64 { return float64(revoked.Unwritten()) }),
	)
}
