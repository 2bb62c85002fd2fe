package liveness

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Login is a login that just succeeded.
type Login struct {
	User    access.User     // Name is the user name that the login wants
	Links   []identity.Link // what it shows of its person, the strongest first
	Session account.Session
	Refresh string // a refresh token that outlives the session, sealed; "" for none
}

// LogIn records a login and returns the user name that it gets (account.Store.Claim): its
// session, what the directory says of the user, and that they are welcome again. The oldest
// session ends if there are too many. When name is not empty, the login holds even if there
// is an error; then the session is recorded as soon as it is used.
func (k *Keeper) LogIn(ctx context.Context, l Login) (name string, err error) {
	now := k.Now()
	var evicted []account.Session
	name, err = k.accounts.Claim(ctx, l.Links, l.User.Name, func(a *account.Account) {
		a.Disabled, a.Checked, a.Method = false, now, l.Session.Method
		a.DisplayName, a.Groups, a.Admin = l.User.DisplayName, l.User.Groups, l.User.Admin
		a.Refresh = l.Refresh
		a.Note(now, trail.LoggedIn, a.Name, l.Session.Method)
		evicted = a.AddSession(l.Session, now, k.Idle)
	})
	if err != nil {
		return name, fmt.Errorf("record the login: %w", err)
	}
	return name, k.evict(ctx, name, evicted)
}

// evict revokes sessions that fell out of an account because there were too many.
func (k *Keeper) evict(ctx context.Context, user string, evicted []account.Session) error {
	if len(evicted) == 0 {
		return nil
	}
	last := evicted[len(evicted)-1].Since // in order of their beginning
	if err := k.revoked.RevokeBefore(ctx, user, last, k.Lifetime); err != nil {
		return fmt.Errorf("end the oldest sessions of %q: %w", user, err)
	}
	return nil
}

// ByLink returns the account that a login belongs to, from memory.
func (k *Keeper) ByLink(l identity.Link) (account.Account, bool) { return k.accounts.ByLink(l) }

// ByProviderSession returns the account with a session that began in the session sid of an
// OIDC provider, from memory.
func (k *Keeper) ByProviderSession(provider, sid string) (account.Account, bool) {
	return k.accounts.ByProviderSession(provider, sid)
}

// Session returns what is recorded of one open session: with its sealed parts if Kubernetes
// answers, else without.
func (k *Keeper) Session(ctx context.Context, user, id string) (account.Session, bool) {
	a, _, err := k.accounts.Load(ctx, user)
	if err != nil {
		a, _ = k.accounts.Get(user)
	}
	return a.Session(id)
}

// EndSession ends one session on all replicas and forgets it. Of s ID, Since and Expires are
// read. An error says that the other replicas do not know yet; here it is over in any case.
func (k *Keeper) EndSession(ctx context.Context, user string, s account.Session) error {
	if err := k.revoked.RevokeSession(ctx, revocation.Session{ID: s.ID, User: user, Since: s.Since, Until: s.Expires}); err != nil {
		return err
	}
	return k.accounts.Update(ctx, user, func(a *account.Account) error {
		if _, was := a.EndSession(s.ID); was {
			a.Note(k.Now(), trail.SessionEnded, trail.Who(ctx), "")
		}
		return nil
	})
}

// EndAll ends all sessions of user that began by now. API tokens go on.
func (k *Keeper) EndAll(ctx context.Context, user string) error {
	now := k.Now()
	if err := k.revoked.RevokeBefore(ctx, user, now, k.Lifetime); err != nil {
		return err
	}
	return k.accounts.Update(ctx, user, func(a *account.Account) error {
		a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(s account.Session) bool { return !s.Since.After(now) })
		a.Note(now, trail.SessionsEnded, trail.Who(ctx), "")
		return nil
	})
}

// Groups returns the members of each group, in no order (account.Store).
func (k *Keeper) Groups() map[string][]string { return k.accounts.Groups() }

// Trail returns what happened to the account of user, latest last. It is read from Kubernetes:
// administrators seldom ask, and in memory all accounts would carry theirs.
func (k *Keeper) Trail(ctx context.Context, user string) (trail.Trail, error) {
	a, _, err := k.accounts.Load(ctx, user)
	return a.Trail, err
}

// Known reports whether the platform remembers user.
func (k *Keeper) Known(user string) bool {
	_, ok := k.accounts.Get(user)
	return ok
}

// Sessions lists the open sessions of user, the one used last first.
func (k *Keeper) Sessions(user string) []account.Session {
	a, _ := k.accounts.Get(user)
	now := k.Now()
	open := slices.DeleteFunc(slices.Clone(a.Sessions), func(s account.Session) bool {
		return s.Over(now, k.Idle) || k.revoked.Revoked(s.ID, user, s.Since)
	})
	slices.SortFunc(open, func(a, b account.Session) int { return b.LastSeen.Compare(a.LastSeen) })
	return open
}

// Tokens lists the living API tokens of user, the newest first.
func (k *Keeper) Tokens(user string) []account.Token {
	a, _ := k.accounts.Get(user)
	now := k.Now()
	living := slices.DeleteFunc(slices.Clone(a.Tokens), func(t account.Token) bool {
		return !now.Before(t.Expires) || k.revoked.Revoked(tokenID(t.ID), tokensOf(user), t.Created)
	})
	slices.SortFunc(living, func(a, b account.Token) int { return b.Created.Compare(a.Created) })
	return living
}

// AddToken records a new API token of user.
func (k *Keeper) AddToken(ctx context.Context, user string, t account.Token) error {
	now := k.Now()
	return k.accounts.Update(ctx, user, func(a *account.Account) error {
		a.Note(now, trail.TokenMade, trail.Who(ctx), t.ID)
		return a.AddToken(t, now)
	})
}

// EndToken revokes an API token of user on all replicas. false: there is none.
func (k *Keeper) EndToken(ctx context.Context, user, id string) (bool, error) {
	t, ok := account.Token{}, false
	if a, found := k.accounts.Get(user); found {
		t, ok = a.Token(id)
	}
	if !ok {
		return false, nil
	}
	err := k.accounts.Update(ctx, user, func(a *account.Account) error {
		if _, was := a.RemoveToken(id); was {
			a.Note(k.Now(), trail.TokenRevoked, trail.Who(ctx), id)
		}
		return nil
	})
	if err == nil {
		return true, nil
	}
	// Kubernetes is away: the list of revocations holds here at once, and is written as soon
	// as it can be. Not otherwise: an entry of a token may stay for 90 days.
	return true, errors.Join(err, k.revoked.RevokeSession(ctx, revocation.Session{ID: tokenID(id), User: tokensOf(user), Since: t.Created, Until: t.Expires}))
}
