package web

import (
	"bytes"
	"fmt"
	"time"
)

// ServerState is the state of a server, as the home page shows it.
type ServerState string

// States of a server; each has a message id "state.<value>".
const (
	StateStopped    ServerState = "stopped"
	StatePending    ServerState = "pending"
	StateReady      ServerState = "ready"
	StateStopping   ServerState = "stopping"
	StateRestarting ServerState = "restarting"
	StateFailed     ServerState = "failed"
)

// MessageID names the text for the state.
func (s ServerState) MessageID() string { return "state." + string(s) }

// Server is one line of the home page.
type Server struct {
	Name       string // "" for the default server
	Title      string // what the user calls it; "" for the default server
	State      ServerState
	Profile    string    // what it is made from, in words for its owner and as a slug for administrators; "" where that is not shown
	Pod        string    // the UID of its pod, for a restart of just this one
	Started    time.Time // zero when not running
	Used       time.Time // when it was last in use; zero where that is not known
	Busy       bool      // a kernel works
	Ends       time.Time // when a running server reaches its maximum age; zero for never
	Published  bool      // the platform did not start it: it can be opened only
	OpenURL    string    // the server itself; "" where users do not reach it
	PendingURL string    // its progress page
	SpawnURL   string    // form action that starts it
	StopURL    string    // form action that stops it
	RestartURL string    // form action that restarts it; "" where it does not run
	LogURL     string    // what it wrote; "" where it has no pod
	DeleteURL  string    // form action that drops its name; "" where there is nothing to drop
	Notices    []Notice  // what happened to it while it was in use
	Warning    *Warning  // it will soon be stopped; nil for no such thing
	Meters     []Meter   // what it takes of CPU and memory, where that is known
	Home       *Space    // how full its home is; nil where that is not known
}

// Warning says that a server will soon be stopped.
type Warning struct {
	Line
	At      time.Time
	KeepURL string // form action that puts it off; "" where nothing does
}

// Key names the line among those of one page: a published server may have the name of another.
func (s Server) Key() string {
	if s.Published {
		return s.Name + "~published"
	}
	return s.Name
}

// Meter is how much a server takes of something.
type Meter struct {
	Label   string            // message id
	Text    string            // message id of the amount in words
	Words   map[string]string // values for Text
	Bounded bool              // there is a limit
	Percent int               // of the limit
}

// Space is how full a volume is.
type Space struct {
	Used  int               // percent
	Words map[string]string // values for home.space_free
	Low   bool              // it is about to be full
}

// Notice is something that happened to a server that goes on, or why it ended by itself.
type Notice struct {
	Line
	At       time.Time
	Expected bool // it is no trouble
}

// Home lists a user's servers.
type Home struct {
	Viewer  Viewer
	XSRF    string
	Servers []Server
	LiveURL string // server-sent events with what changes; "" for none
	// Temporary is true where homes may be gone after a stop.
	Temporary bool
	// Choose is true where a start needs a choice: the button leads to the form.
	Choose bool
	// Usage is what the user has of all that quotas limit.
	Usage []Usage
	// NewURL is the form action for one more server.
	NewURL   string
	Profiles []Profile // what it may be made from
	NewName  string    // typed before, and refused
	Refused  string    // message id of why, "" for no fault
}

// Lines are the servers with what their forms need.
func (h Home) Lines() []ServerLine {
	lines := make([]ServerLine, len(h.Servers))
	for i, s := range h.Servers {
		lines[i] = ServerLine{Server: s, XSRF: h.XSRF, Choose: h.Choose}
	}
	return lines
}

// ServerLine is a Server with what its forms need.
type ServerLine struct {
	Server
	XSRF   string
	Choose bool
}

func (Home) template() string { return "home" }
func (h Home) viewer() Viewer { return h.Viewer }

// HomeParts are the parts of a home page that change while it is looked at, as HTML.
type HomeParts struct {
	Keys    []string          // of all servers, in order
	Servers map[string]string // by key
	Usage   string            // "" where nothing is limited
}

// HomeParts renders those of a page, in the language that acceptLanguage prefers. They are the same
// as in the whole page.
func (r *Renderer) HomeParts(acceptLanguage string, page Home) (HomeParts, error) {
	parts := HomeParts{Servers: map[string]string{}}
	pages := r.pick(acceptLanguage).pages[page.template()]
	render := func(name string, data any) (string, error) {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, name, data); err != nil {
			return "", fmt.Errorf("render part %s of the home page: %w", name, err)
		}
		return b.String(), nil
	}
	for _, line := range page.Lines() {
		html, err := render("server", line)
		if err != nil {
			return HomeParts{}, err
		}
		parts.Keys = append(parts.Keys, line.Key())
		parts.Servers[line.Key()] = html
	}
	usage, err := render("usage", page)
	parts.Usage = usage
	return parts, err
}
