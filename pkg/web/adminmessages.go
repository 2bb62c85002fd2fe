package web

import "time"

// AdminMessages is the page where administrators say something to everybody.
type AdminMessages struct {
	Viewer   Viewer
	XSRF     string
	Action   string // where the form posts
	Messages []MessageLine
	Error    string // message id, or ""
	// What was typed before.
	English, Chinese string
	Warning          bool
	Hours            []int // that a message may be shown
	MaxText          int   // characters
}

// MessageLine is a message that is shown to everybody.
type MessageLine struct {
	English, Chinese string // untrusted
	Warning          bool
	At, Until        time.Time
	By               string
	ID               string
	RemoveAction     string
}

func (AdminMessages) template() string { return "admin_messages" }
func (a AdminMessages) viewer() Viewer { return a.Viewer }
