package web

// Page is one of the page structs of this package.
type Page interface {
	// template is the file under templates/ without its extension.
	template() string
	// viewer is the logged-in user; the zero value shows no account menu.
	viewer() Viewer
}

// Viewer is the logged-in user, for the page header.
type Viewer struct {
	Name        string // user name; "" without a login
	DisplayName string // full name to show; "" means Name
	Admin       bool   // shows the way to the administrators' pages
}

// Label is the name to show.
func (v Viewer) Label() string {
	if v.DisplayName != "" {
		return v.DisplayName
	}
	return v.Name
}

// Login asks for a name and a password, or leads to OpenID Connect providers, or both.
type Login struct {
	Password  bool // show the form
	Providers []Provider
	Action    string // where the form posts
	Next      string // where to go afterwards, already checked
	XSRF      string
	Username  string // what the user typed before, to show it again
	Keep      Keep
	Error     string // message id: login.invalid, login.unavailable, login.throttled, login.busy, login.stale, login.not_allowed, or ""
}

// Keep is the box by which a user stays logged in when the browser is closed.
type Keep struct {
	Offered bool // show it
	Chosen  bool // it was ticked before
}

// Provider is an OpenID Connect provider, and the address to log in or out there.
type Provider struct {
	Name string
	URL  string
}

// Data is the provider's name, for messages.
func (p Provider) Data() map[string]string { return map[string]string{"Name": p.Name} }

// Logout asks for confirmation, or says that it is done.
type Logout struct {
	XSRF string
	Done bool
	Next *Provider // where the logout goes on, nil for nowhere
}

// Message is a page that says one thing: an error, a refusal, a notice.
type Message struct {
	Status    int               // shown beside the request id; 0 hides it
	Title     string            // message id
	Text      string            // message id
	Data      map[string]string // values for {{.Name}} in Title and Text
	ActionURL string            // next step; "" for none
	Action    string            // message id of the link to ActionURL
	RequestID string            // finds the request's log lines
	User      string            // name of the logged-in user, "" without a login
}

// Usage is how much a user has of what a quota limits.
type Usage struct {
	Resource string            // message id of its name, or the name of an extended resource
	Data     map[string]string // Used and Most in words, and the quota's Rule
	Used     int64             // of Most, for the meter
	Most     int64
	Shared   bool // others' servers count too
}

// Spawn shows what a user may start, and the button that starts it.
type Spawn struct {
	Viewer   Viewer
	XSRF     string
	Action   string // where the form posts
	Next     string // path to open once the server runs, already checked
	Owner    string
	Server   string
	Display  string    // what the user wants to call it; "" for its name
	Profiles []Profile // at least one; one of them is Selected
	Safe     bool      // offers a safe start
}

// Several reports whether there is a profile to choose.
func (s Spawn) Several() bool { return len(s.Profiles) > 1 }

// Profile describes the image and resources that a server gets. What depends on the options is "".
type Profile struct {
	Slug        string // what the form sends
	DisplayName string
	Description string
	Image       string
	CPU         string // "" when unlimited
	Memory      string // "" when unlimited
	Storage     string
	Temporary   bool // the home is gone after a stop
	Selected    bool
	Options     []Option
}

// Option is a choice within a profile: a list, or a field to type into, or both.
type Option struct {
	Name    string // of the list's form field
	Label   string
	Choices []Choice
	Typed   *Typed // nil when only the list may be used
}

// Choice is an entry of a list.
type Choice struct {
	Value, Label string
	Selected     bool
}

// Typed is a field whose value the user types.
type Typed struct {
	Name   string // of the form field
	Label  string
	Choice Choice // the entry of the list that stands for the field
	Hint   string // what is wanted
	Value  string // typed before
}

// Line is one sentence of a progress report.
type Line struct {
	ID     string            // message id
	Next   string            // message id of a second sentence with the same data, "" for none
	Data   map[string]string // values for the message
	Detail string            // Kubernetes' or the server's own words, untrusted
}

// Pending shows how far a starting server is, or why it did not start.
type Pending struct {
	Viewer      Viewer
	XSRF        string
	Owner       string
	Server      string
	Percent     int // 0-100
	Now         Line
	Log         []Line
	Wrote       string // Failed: the end of the server's log; untrusted
	WroteBefore string // that of the run before, "" for none; untrusted
	Failed      bool
	Used        bool   // Failed, after it had run
	Runs        bool   // Failed, but the server runs: only the way to it is missing
	Ended       bool   // Failed, but as expected: the server had run and came to its end
	Safe        bool   // offers to start without the user's own configuration
	Temporary   bool   // homes may be gone after a stop
	ProgressURL string // server-sent events; "" when Failed
	ReadyURL    string // where to go when it runs
	RetryAction string // form action of "Try again"; "" when the same would fail again
	ChooseURL   string // the form, to choose something else; "" when there is nothing to choose
	StopAction  string // form action of "Cancel"; "" when there is nothing to stop
	Next        string // repeated by the forms
	RequestID   string
	Ahead       []string // files that the server's page will load, to be fetched while it starts
}

// DeleteUser asks an administrator before a user is deleted.
type DeleteUser struct {
	Viewer  Viewer
	XSRF    string
	Action  string
	User    string
	Servers []Server
}

func (DeleteUser) template() string { return "delete_user" }
func (d DeleteUser) viewer() Viewer { return d.Viewer }

func (Login) template() string   { return "login" }
func (Logout) template() string  { return "logout" }
func (Message) template() string { return "message" }
func (Spawn) template() string   { return "spawn" }
func (Pending) template() string { return "pending" }

func (Login) viewer() Viewer     { return Viewer{} }
func (Logout) viewer() Viewer    { return Viewer{} }
func (m Message) viewer() Viewer { return Viewer{Name: m.User} }
func (s Spawn) viewer() Viewer   { return s.Viewer }
func (p Pending) viewer() Viewer { return p.Viewer }
