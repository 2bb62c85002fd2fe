package liveness

import (
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
)

// Use is one request of a session that was let in.
type Use struct {
	User    string
	Session account.Session // ID, Since, Expires and Method are read
	// Active: a person did something. What a page asks by itself again and again is no
	// activity, or a forgotten tab would keep its session for ever.
	Active bool
}

// trace is what this replica knows of one session or token and may not have written yet.
type usage struct {
	user    string
	session account.Session // ID "" for a token
	token   string          // ID, "" for a session
	seen    time.Time       // any use
	active  time.Time       // a person's use; for a token any use
}

// Seen notes a request. It reads and writes memory only.
func (k *Keeper) Seen(u Use) {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.traces[u.Session.ID]
	if t == nil {
		t = &usage{user: u.User, session: u.Session}
		k.traces[u.Session.ID] = t
	}
	t.seen = now
	if u.Active {
		t.active = now
	}
}

// UsedToken notes that a token was used.
func (k *Keeper) UsedToken(owner string, t account.Token) {
	now := k.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	id := tokenID(t.ID)
	if k.traces[id] == nil {
		k.traces[id] = &usage{user: owner, token: t.ID}
	}
	k.traces[id].seen, k.traces[id].active = now, now
}

func (k *Keeper) lastActive(id string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t := k.traces[id]; t != nil {
		return t.active
	}
	return time.Time{}
}

// tokenUsedEvery is how exact a token's "last used" is.
const tokenUsedEvery = 5 * time.Minute

// due reports whether what a trace says must be written now. An activity waits for up to
// a quarter of the idle time, and is then written even if there was none since: so all
// replicas agree on the moment at which a session has been idle for too long.
func (t usage) due(a account.Account, now time.Time, idle time.Duration) bool {
	if t.token != "" {
		token, ok := a.Token(t.token)
		return ok && t.active.After(token.LastUsed) && now.Sub(token.LastUsed) >= tokenUsedEvery
	}
	s, ok := a.Session(t.session.ID)
	if !ok {
		return true
	}
	return t.active.After(s.LastSeen) && now.Sub(s.LastSeen) >= idle/4
}

// news reports whether a trace says anything that the account does not.
func (t usage) news(a account.Account) bool {
	if t.token != "" {
		token, ok := a.Token(t.token)
		return ok && t.active.After(token.LastUsed)
	}
	s, ok := a.Session(t.session.ID)
	return !ok || t.active.After(s.LastSeen)
}

// apply writes the trace into the account; sessions that had to give way are returned.
func (t usage) apply(a *account.Account, now time.Time, idle time.Duration) []account.Session {
	if t.token != "" {
		a.TouchToken(t.token, t.active)
		return nil
	}
	if _, ok := a.Session(t.session.ID); ok {
		a.Touch(t.session.ID, t.active)
		return nil
	}
	s := t.session
	s.LastSeen = s.Since
	if t.active.After(s.LastSeen) {
		s.LastSeen = t.active
	}
	if s.Over(now, idle) {
		return nil
	}
	return a.AddSession(s, now, idle)
}
