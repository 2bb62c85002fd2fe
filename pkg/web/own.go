package web

import "time"

// Token is the page where a user makes, sees and revokes API tokens.
type Token struct {
	Viewer       Viewer
	XSRF         string
	Action       string        // where the form posts
	RevokeAction string        // where the revoke buttons post
	Made         string        // the new token; shown on this one page only
	MadeNote     string        // its note
	Error        string        // message id, or ""
	Note, More   string        // what the user typed before
	Scopes       []ScopeChoice // offered as boxes
	Days         []int         // lifetimes on offer
	Tokens       []TokenLine   // newest first
}

// ScopeChoice is one scope on offer.
type ScopeChoice struct {
	Value   string
	Text    string // message id
	Checked bool
}

// TokenLine is one token that is still valid.
type TokenLine struct {
	ID       string
	Note     string
	Scopes   []string
	Created  time.Time
	Expires  time.Time
	LastUsed time.Time // zero: never
}

// Sessions is the page where a user sees and ends sessions.
type Sessions struct {
	Viewer       Viewer
	XSRF         string
	EndAction    string
	EndAllAction string
	Sessions     []SessionLine // used last first
}

// SessionLine is one open session.
type SessionLine struct {
	ID       string
	Current  bool // the session of this request
	Since    time.Time
	LastSeen time.Time
	Expires  time.Time
	Browser  string // its name; "" for one that is not known
	System   string // the same of what it runs on
	Address  string
}

// Agent is the browser and its system, for messages.
func (s SessionLine) Agent() map[string]string {
	return map[string]string{"Browser": s.Browser, "System": s.System}
}

func (Token) template() string    { return "token" }
func (Sessions) template() string { return "sessions" }

func (t Token) viewer() Viewer    { return t.Viewer }
func (s Sessions) viewer() Viewer { return s.Viewer }
