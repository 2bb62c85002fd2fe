package web

import (
	"time"

	"github.com/perijove/perijove/pkg/server/trail"
)

// Admin is the page where administrators look through all who have something here.
type Admin struct {
	Viewer Viewer
	XSRF   string
	Action string // where the search goes
	Back   string // the page as it is, for forms to lead back to
	// What is looked for.
	Search   string
	States   []Choice
	Profiles []Choice
	Sort     string // of the form's hidden field

	Counts   map[string]string // values for admin.counts
	Columns  []Column          // that the list may be sorted by
	People   []Person
	Range    map[string]string // values for admin.range
	Previous string            // address of the page before; "" for none
	Next     string
}

// Column is the head of a column by which a list can be sorted.
type Column struct {
	Text string // message id
	URL  string // sorts by it
	Sort string // "ascending", "descending" or "none": the present order, in ARIA's words
}

// Person is one who has something here, with all servers; there is one at least.
type Person struct {
	Name    string
	URL     string // the person's page; "" on that page itself
	Servers []Server
}

// AdminUser is the page of one person, for administrators.
type AdminUser struct {
	Viewer Viewer
	XSRF   string
	Back   string
	Person Person
	// Account says that the person has logged in here and may log in. Without one nobody can
	// start servers for them, and Groups are not known.
	Account     bool
	Groups      []string
	Usage       []Usage
	SessionsURL string // where the person's sessions are
	Trail       []TrailLine
	DeleteURL   string // where the question is asked; "" where the viewer may not delete the person
}

func (Admin) template() string     { return "admin" }
func (AdminUser) template() string { return "admin_user" }

func (a Admin) viewer() Viewer     { return a.Viewer }
func (a AdminUser) viewer() Viewer { return a.Viewer }

// People makes the page's person the one row of the table.
func (a AdminUser) People() []Person { return []Person{a.Person} }

// TrailLine is something that happened to a person's servers or account.
type TrailLine struct {
	At   time.Time
	What string // message id
	Of   string // the server's name or a token's id; "" for none
	By   string // who did it; "" for the platform
}

// TrailLines are the events of a trail as pages show them, newest first.
func TrailLines(events trail.Trail) (lines []TrailLine) {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		lines = append(lines, TrailLine{At: e.At, What: "trail." + string(e.What), Of: e.Of, By: e.By})
	}
	return lines
}
