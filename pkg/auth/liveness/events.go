package liveness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/server/access"
)

// Login is a login that just succeeded.
type Login struct {
	User    access.User
	Session account.Session
	Link    account.Link // zero: the name is linked to nothing yet, and stays so
	Refresh string       // sealed, "" for none
}

// LoggedIn records a login: the session, what the directory says of the person, and that
// they are welcome again. The oldest session ends if there are too many. The login holds
// even if this fails; then the session is recorded as soon as it is used.
func (k *Keeper) LoggedIn(ctx context.Context, l Login) error {
	now := k.Now()
	var evicted []account.Session
	err := k.Accounts.Update(ctx, l.User.Name, func(a *account.Account) error {
		if len(a.Links) > 0 && l.Link != (account.Link{}) && !a.LinkedTo(l.Link) {
			return account.ErrTaken // by somebody else since this login claimed it
		}
		a.Disabled, a.Checked, a.Method = false, now, l.Session.Method
		a.DisplayName, a.Groups, a.Admin = l.User.DisplayName, l.User.Groups, l.User.Admin
		if l.Refresh != "" {
			a.Refresh = l.Refresh
		}
		if l.Link != (account.Link{}) && len(a.Links) == 0 {
			a.Links = []account.Link{l.Link}
		}
		evicted = a.AddSession(l.Session, now, k.Idle)
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the login: %w", err)
	}
	return k.evict(ctx, l.User.Name, evicted)
}

// EndSession ends one session on all replicas and forgets it. An error says that the
// others do not know yet; here it is over in any case.
func (k *Keeper) EndSession(ctx context.Context, user, id string, expires time.Time) error {
	if err := k.Revoked.RevokeSession(ctx, id, expires); err != nil {
		return err
	}
	return k.Accounts.Update(ctx, user, func(a *account.Account) error {
		a.EndSession(id)
		return nil
	})
}

// EndAll ends all sessions of user that began by now. API tokens go on.
func (k *Keeper) EndAll(ctx context.Context, user string) error {
	now := k.Now()
	if err := k.Revoked.RevokeBefore(ctx, user, now, k.Lifetime); err != nil {
		return err
	}
	return k.Accounts.Update(ctx, user, func(a *account.Account) error {
		a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(s account.Session) bool { return !s.Since.After(now) })
		return nil
	})
}

// Sessions lists the open sessions of user, the one used last first.
func (k *Keeper) Sessions(user string) []account.Session {
	a, _ := k.Accounts.Get(user)
	now := k.Now()
	open := slices.DeleteFunc(slices.Clone(a.Sessions), func(s account.Session) bool {
		return s.Over(now, k.Idle) || k.Revoked.Revoked(s.ID, user, s.Since)
	})
	slices.SortFunc(open, func(a, b account.Session) int { return b.LastSeen.Compare(a.LastSeen) })
	return open
}

// Tokens lists the living API tokens of user, the newest first.
func (k *Keeper) Tokens(user string) []account.Token {
	a, _ := k.Accounts.Get(user)
	now := k.Now()
	living := slices.DeleteFunc(slices.Clone(a.Tokens), func(t account.Token) bool {
		return !now.Before(t.Expires) || k.Revoked.Revoked(tokenID(t.ID), "", t.Created)
	})
	slices.SortFunc(living, func(a, b account.Token) int { return b.Created.Compare(a.Created) })
	return living
}

// AddToken records a new API token of user.
func (k *Keeper) AddToken(ctx context.Context, user string, t account.Token) error {
	now := k.Now()
	return k.Accounts.Update(ctx, user, func(a *account.Account) error { return a.AddToken(t, now) })
}

// EndToken revokes an API token of user on all replicas. false: there is none.
func (k *Keeper) EndToken(ctx context.Context, user, id string) (bool, error) {
	t, ok := account.Token{}, false
	if a, found := k.Accounts.Get(user); found {
		t, ok = a.Token(id)
	}
	if !ok {
		return false, nil
	}
	err := k.Accounts.Update(ctx, user, func(a *account.Account) error {
		a.RemoveToken(id)
		return nil
	})
	if err == nil {
		return true, nil
	}
	// Kubernetes is away: the list of revocations holds here at once, and is written as
	// soon as it can be. Not otherwise: a token may live for 90 days, and somebody who makes
	// and revokes them without end would fill the list that everybody's logouts need.
	return true, errors.Join(err, k.Revoked.RevokeSession(ctx, tokenID(id), t.Expires))
}
