package liveness

import (
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/server/access"
)

// User returns the user of a session as the directory described them last. ok is false when
// the session has ended before its time: it was revoked or unused for too long, its user is
// disabled, or the name is another person's by now. That its own time is not up, the caller has checked (session.Ring.Open).
func (k *Keeper) User(s session.Session) (user access.User, ok bool) {
	if k.revoked.Revoked(s.ID, s.User.Name, s.Since) {
		return access.User{}, false
	}
	a, _ := k.accounts.Get(s.User.Name)
	if a.Disabled || a.Foreign(s.ID, s.Since) || idle(a, s.ID, s.Since, k.lastActive(s.ID), k.Now(), k.Idle) {
		return access.User{}, false
	}
	return describe(a, s.User), true
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

// Current returns user as the directory described them last.
func (k *Keeper) Current(user access.User) access.User {
	a, _ := k.accounts.Get(user.Name)
	return describe(a, user)
}

// Person is somebody as the directory described them last. ok is false for a name that has no
// account, or one that the directory refuses.
func (k *Keeper) Person(name string) (person access.User, ok bool) {
	a, ok := k.accounts.Get(name)
	return describe(a, access.User{Name: name}), ok && !a.Disabled
}

// describe returns user with what the account says of them. A cookie says what held at the
// login.
func describe(a account.Account, user access.User) access.User {
	if a.Method == "" { // no directory or provider has described this user yet
		return user
	}
	user.Admin, user.Groups = a.Admin, a.Groups
	if a.DisplayName != "" {
		user.DisplayName = a.DisplayName
	}
	return user
}

// Token returns the owner of an API token, as the directory described them last, and the
// token itself. ok is false for an unknown, expired or revoked token and when its owner is
// disabled.
func (k *Keeper) Token(token string) (owner access.User, t account.Token, ok bool) {
	hash, ok := tokens.Hash(token)
	if !ok {
		return access.User{}, account.Token{}, false
	}
	a, t, ok := k.accounts.ByToken(hash)
	if !ok || a.Disabled || !k.Now().Before(t.Expires) || k.revoked.Revoked(tokenID(t.ID), tokensOf(a.Name), t.Created) {
		return access.User{}, account.Token{}, false
	}
	return describe(a, access.User{Name: a.Name}), t, true
}

// tokenID is a token in the list of revocations, where it can be mistaken for no session:
// a session's ID has no colon.
func tokenID(id string) string { return "token:" + id }

// tokensOf is whose a user's tokens are in that list. No user is called so: a name has no
// slash. An epoch of it ends tokens and no session.
func tokensOf(user string) string { return user + "/tokens" }

// Refuse reports whether all users must be refused at this moment, since revocations may be
// unknown.
func (k *Keeper) Refuse() bool { return k.Strict && k.Stale() }

// Stale reports whether revocations or changes of accounts may be unknown, whatever the mode:
// an API token is revoked, and a user disabled, in the account.
func (k *Keeper) Stale() bool { return k.revoked.Stale() || k.accounts.Stale() }
