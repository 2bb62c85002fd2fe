package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/auth/account"
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

// people is what this replica knows of everybody.
type people struct {
	accounts *account.Store
	revoked  *revocation.Store
	standing *liveness.Keeper
}

func newPeople(cfg Config, client kubernetes.Interface, directory *ldaplogin.Login, providers []*oidclogin.Provider, reg prometheus.Registerer, log *slog.Logger) people {
	k := cfg.Kubernetes
	namespace := k.AccountsNamespace
	if namespace == "" {
		namespace = k.Namespace
	}
	p := people{
		accounts: account.New(client, account.Settings{Namespace: namespace, Release: k.Release, Log: log}),
		revoked:  revocation.New(client, revocation.Settings{Namespace: k.Namespace, Secret: k.RevocationSecret, Now: time.Now, Log: log}),
	}
	recheck := map[string]liveness.Rechecker{}
	if directory != nil {
		recheck[methodLDAP] = recheckIn(directory)
	}
	if len(providers) > 0 {
		recheck[methodOIDC] = recheckAt(providers)
	}
	p.standing = liveness.New(liveness.Settings{
		Accounts: p.accounts, Revoked: p.revoked, Idle: cfg.SessionIdle, Lifetime: cfg.SessionLifetime,
		Recheck: recheck, Every: cfg.Recheck, Strict: cfg.RevocationMode == strict, Now: time.Now, Log: log,
	}, reg)
	watchMetrics(reg, p.revoked)
	return p
}

// run keeps what is known up to date until ctx is done.
func (p people) run(ctx context.Context, g *errgroup.Group, ready *telemetry.Health) {
	g.Go(func() error { return p.revoked.Run(ctx) })
	g.Go(func() error { return p.accounts.Run(ctx) })
	g.Go(func() error {
		if !p.known(ctx, ready) {
			return nil
		}
		return p.standing.Run(ctx)
	})
}

// Checks that must hold before anybody is let in.
const (
	checkRevocations = "revocations"
	checkAccounts    = "accounts"
)

// known waits until all that was ever ended is known; false when ctx is done before.
func (p people) known(ctx context.Context, ready *telemetry.Health) bool {
	for _, part := range []struct {
		check  string
		synced <-chan struct{}
	}{{checkRevocations, p.revoked.Synced()}, {checkAccounts, p.accounts.Synced()}} {
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

func checker(directory *ldaplogin.Login) login.Checker {
	if directory == nil {
		return nil
	}
	return directory.Check
}

// recheckIn looks a person up in the directory again, by the canonical name that the
// account is linked to.
func recheckIn(directory *ldaplogin.Login) liveness.Rechecker {
	return func(ctx context.Context, a account.Account, since time.Time) (liveness.Answer, error) {
		name := a.Name
		for _, link := range a.Links {
			if link.Issuer == account.LDAP {
				name = link.Subject
			}
		}
		user, err := directory.Recheck(ctx, name, since)
		return liveness.Answer{User: user}, err
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
