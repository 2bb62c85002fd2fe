package account

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Limits of what one account holds. They keep it far below the 1 MiB of a Secret.
const (
	// MaxSessions is how many sessions one person may have open; one more ends the
	// oldest (D9).
	MaxSessions = 20
	// MaxTokens is how many living API tokens one person may have.
	MaxTokens = 50

	maxAgent   = 200 // bytes of a browser's description
	maxAddress = 64  // bytes of an address
	maxNote    = 200 // bytes of a token's note
)

// Session is what is remembered of one open session, for its owner to see and end.
type Session struct {
	ID       string    `json:"id"` // as in the sealed cookie
	Method   string    `json:"method,omitempty"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
	LastSeen time.Time `json:"lastSeen"`          // last activity of a person, see pkg/auth/liveness
	Agent    string    `json:"agent,omitempty"`   // the browser, for people; untrusted text
	Address  string    `json:"address,omitempty"` // for people

	Provider    string `json:"provider,omitempty"`    // id of the OIDC provider, "" for LDAP
	ProviderSID string `json:"providerSid,omitempty"` // the provider's own session (back-channel logout)
	IDTokenHint string `json:"idTokenHint,omitempty"` // sealed; only Load returns it
	// Refresh is the refresh token that the provider gave for this session, sealed; only Load
	// returns it. It is good as long as the provider's own session is.
	Refresh string `json:"refresh,omitempty"`
	// Checked is when the provider was asked about this session last; zero for a session that
	// has no refresh token of its own.
	Checked time.Time `json:"checked,omitzero"`
}

// Over reports whether the session has ended by itself at now: its time is up, or
// its user has not used it for idle.
func (s Session) Over(now time.Time, idle time.Duration) bool {
	return !now.Before(s.Expires) || now.Sub(s.LastSeen) >= idle
}

// Token is an API token. The token itself is shown once and kept nowhere.
type Token struct {
	ID       string    `json:"id"`
	Hash     string    `json:"hash"` // as pkg/auth/tokens makes it
	Note     string    `json:"note,omitempty"`
	Scopes   []string  `json:"scopes"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

// Account is everything about one person. A value that a Store handed out is never
// changed: slices are shared.
type Account struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"displayName,omitempty"`
	Groups      []string `json:"groups,omitempty"`
	Admin       bool     `json:"admin,omitempty"`
	Disabled    bool     `json:"disabled,omitempty"` // refused at the last check
	Method      string   `json:"method,omitempty"`   // of the last login
	// Links say which login the name belongs to: what never changes, whatever name or e-mail
	// address the person has today (O9, L9). Since is when that login got the name; zero in
	// accounts from before it was recorded.
	Links   []identity.Link `json:"links,omitempty"`
	Since   time.Time       `json:"since,omitzero"`
	Checked time.Time       `json:"checked,omitzero"` // when the directory was asked last
	// Refresh is a refresh token that outlives sessions (scope offline_access), sealed; only Load
	// returns it.
	Refresh  string    `json:"refresh,omitempty"`
	Sessions []Session `json:"sessions,omitempty"`
	Tokens   []Token   `json:"tokens,omitempty"`
	// Trail is what happened to the account, for administrators; only Load returns it.
	Trail trail.Trail `json:"trail,omitempty"`
}

// Note adds an event of the one who did it. It is for what is written together with a change.
func (a *Account) Note(at time.Time, what trail.What, by, of string) {
	a.Trail = a.Trail.With(trail.Event{At: at, What: what, By: by, Of: of})
}

// ErrTooManyTokens: the person must revoke a token before making another.
var ErrTooManyTokens = errors.New("too many API tokens")

// Session returns the open session id.
func (a Account) Session(id string) (Session, bool) {
	i := slices.IndexFunc(a.Sessions, func(s Session) bool { return s.ID == id })
	if i < 0 {
		return Session{}, false
	}
	return a.Sessions[i], true
}

// Token returns the token id.
func (a Account) Token(id string) (Token, bool) {
	i := slices.IndexFunc(a.Tokens, func(t Token) bool { return t.ID == id })
	if i < 0 {
		return Token{}, false
	}
	return a.Tokens[i], true
}

// ErrTaken: the user name that a login wants belongs to another login. ErrReused says beside it
// that both come from one directory or provider, which gave the name a second time.
var (
	ErrTaken  = errors.New("the user name belongs to another login")
	ErrReused = fmt.Errorf("%w of the same directory or provider", ErrTaken)
)

// claim gives the account to a login that shows links, if it is free or belongs to that login
// already. Errors: ErrTaken, ErrReused.
func (a *Account) claim(shown []identity.Link, now time.Time) error {
	switch {
	case len(a.Links) == 0:
		// What was recorded before the name belonged to a login is not this user's.
		a.Sessions, a.Tokens, a.Refresh, a.Since = nil, nil, "", now
	case identity.Same(a.Links, shown):
	case identity.Rivals(a.Links, shown):
		return fmt.Errorf("%w: it is kept for %s", ErrReused, a.Links[0])
	default:
		return ErrTaken
	}
	a.Links = identity.Lasting(shown)
	return nil
}

// Recognise takes over what the directory shows of the person now, if it is this one: so an
// account from before ids were recorded gets one.
func (a *Account) Recognise(shown []identity.Link) {
	if identity.Same(a.Links, shown) {
		a.Links = identity.Lasting(shown)
	}
}

// Foreign reports whether a session that began at since is an earlier owner's of the name: it
// began before the present owner's first login, and was not recorded as theirs. Its cookie
// says the name and would open what is another person's now.
func (a Account) Foreign(session string, since time.Time) bool {
	_, listed := a.Session(session)
	return !listed && since.Before(a.Since)
}

// AddSession records s, or replaces what was recorded of it, and returns the sessions
// that had to give way: those that began first, in that order. The caller revokes those: removing the record ends nothing.
func (a *Account) AddSession(s Session, now time.Time, idle time.Duration) (evicted []Session) {
	a.Forget(now, idle)
	s.Agent, s.Address = shorten(s.Agent, maxAgent), shorten(s.Address, maxAddress)
	a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(o Session) bool { return o.ID == s.ID })
	a.Sessions = append(a.Sessions, s)
	slices.SortStableFunc(a.Sessions, func(x, y Session) int {
		// The new one stays, even should another replica's clock have made it the oldest.
		if (x.ID == s.ID) != (y.ID == s.ID) {
			return map[bool]int{true: 1, false: -1}[x.ID == s.ID]
		}
		return x.Since.Compare(y.Since)
	})
	more := max(0, len(a.Sessions)-MaxSessions)
	evicted, a.Sessions = a.Sessions[:more:more], a.Sessions[more:]
	return evicted
}

// EndSession removes the record of session id; false if there was none.
func (a *Account) EndSession(id string) (Session, bool) {
	s, ok := a.Session(id)
	a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(o Session) bool { return o.ID == id })
	return s, ok
}

// Touch notes that a person used session id at the moment at. It reports whether that
// said anything new: an older moment never replaces a newer one.
func (a *Account) Touch(id string, at time.Time) bool {
	i := slices.IndexFunc(a.Sessions, func(s Session) bool { return s.ID == id })
	if i < 0 || !at.After(a.Sessions[i].LastSeen) {
		return false
	}
	a.Sessions = slices.Clone(a.Sessions)
	a.Sessions[i].LastSeen = at
	return true
}

// AddToken records t.
func (a *Account) AddToken(t Token, now time.Time) error {
	a.forgetTokens(now)
	if len(a.Tokens) >= MaxTokens {
		return ErrTooManyTokens
	}
	t.Note = shorten(t.Note, maxNote)
	a.Tokens = append(slices.Clone(a.Tokens), t)
	return nil
}

// RemoveToken removes token id; false if there was none.
func (a *Account) RemoveToken(id string) (Token, bool) {
	t, ok := a.Token(id)
	a.Tokens = slices.DeleteFunc(slices.Clone(a.Tokens), func(o Token) bool { return o.ID == id })
	return t, ok
}

// TouchToken notes that token id was used at the moment at.
func (a *Account) TouchToken(id string, at time.Time) bool {
	i := slices.IndexFunc(a.Tokens, func(t Token) bool { return t.ID == id })
	if i < 0 || !at.After(a.Tokens[i].LastUsed) {
		return false
	}
	a.Tokens = slices.Clone(a.Tokens)
	a.Tokens[i].LastUsed = at
	return true
}

// Forget drops sessions and tokens that have ended by themselves at now.
func (a *Account) Forget(now time.Time, idle time.Duration) {
	a.Sessions = slices.DeleteFunc(slices.Clone(a.Sessions), func(s Session) bool { return s.Over(now, idle) })
	a.forgetTokens(now)
}

func (a *Account) forgetTokens(now time.Time) {
	a.Tokens = slices.DeleteFunc(slices.Clone(a.Tokens), func(t Token) bool { return !now.Before(t.Expires) })
}

// linkKey is the label that stands for a link: 128 bits of hash, so that no login hits
// another's by chance or on purpose. The fields are length-prefixed.
func linkKey(l identity.Link) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s%d:%s", len(l.Issuer), l.Issuer, len(l.Subject), l.Subject))
	return hex.EncodeToString(sum[:16])
}

// shorten cuts s to at most limit bytes of whole, valid characters.
func shorten(s string, limit int) string {
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	if !utf8.ValidString(s) {
		return "" // JSON would replace each bad byte by three
	}
	return s
}
