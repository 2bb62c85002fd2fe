package liveness

import (
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/session"
)

// usage is what this replica knows of one session or token and may not have written yet.
type usage struct {
	user    string
	session account.Session // ID "" for a token
	token   string          // ID, "" for a session
	seen    time.Time       // any use
	active  time.Time       // a user's own use; for a token any use
}

func (u usage) key() string {
	if u.token != "" {
		return tokenID(u.token)
	}
	return u.session.ID
}

// Seen notes a request of a session that was let in. active means that the user did
// something: what a page requests by itself again and again is no activity, or a forgotten
// tab would keep its session for ever. It reads and writes memory only.
func (k *Keeper) Seen(s session.Session, active bool) {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	u := k.usages[s.ID]
	if u == nil {
		u = &usage{user: s.User.Name, session: account.Session{ID: s.ID, Method: s.Method, Since: s.Since, Expires: s.Expires}}
		k.usages[s.ID] = u
	}
	u.seen = now
	if active {
		u.active = now
	}
}

// UsedToken notes that a token was used.
func (k *Keeper) UsedToken(owner string, t account.Token) {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	id := tokenID(t.ID)
	if k.usages[id] == nil {
		k.usages[id] = &usage{user: owner, token: t.ID}
	}
	k.usages[id].seen, k.usages[id].active = now, now
}

func (k *Keeper) lastActive(id string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if u := k.usages[id]; u != nil {
		return u.active
	}
	return time.Time{}
}

// tokenUsedEvery is how exact a token's "last used" is.
const tokenUsedEvery = 5 * time.Minute

// due reports whether a usage must be written now. An activity waits for up to a quarter of
// the idle time, and is then written even if there was none since: so all replicas agree on
// the moment at which a session has been idle for too long.
func (u usage) due(a account.Account, now time.Time, idle time.Duration) bool {
	if u.token != "" {
		token, ok := a.Token(u.token)
		return ok && u.active.After(token.LastUsed) && now.Sub(token.LastUsed) >= tokenUsedEvery
	}
	s, ok := a.Session(u.session.ID)
	if !ok {
		return true
	}
	return u.active.After(s.LastSeen) && now.Sub(s.LastSeen) >= idle/4
}

// news reports whether a usage says anything that the account does not.
func (u usage) news(a account.Account) bool {
	if u.token != "" {
		token, ok := a.Token(u.token)
		return ok && u.active.After(token.LastUsed)
	}
	s, ok := a.Session(u.session.ID)
	return !ok || u.active.After(s.LastSeen)
}

// apply writes the usage into the account and returns sessions that had to give way.
func (u usage) apply(a *account.Account, now time.Time, idle time.Duration) []account.Session {
	if u.token != "" {
		a.TouchToken(u.token, u.active)
		return nil
	}
	if _, ok := a.Session(u.session.ID); ok {
		a.Touch(u.session.ID, u.active)
		return nil
	}
	s := u.session
	if a.Foreign(s.ID, s.Since) {
		return nil
	}
	s.LastSeen = s.Since
	if u.active.After(s.LastSeen) {
		s.LastSeen = u.active
	}
	if s.Over(now, idle) {
		return nil
	}
	return a.AddSession(s, now, idle)
}
