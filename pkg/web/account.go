package web

// Account is the page where administrators see and end the sessions and API tokens of a person.
type Account struct {
	Viewer       Viewer
	XSRF         string
	Name         string
	DisplayName  string // "" for the name
	Groups       []string
	Admin        bool   // the person is an administrator
	PersonURL    string // the page with the person's servers
	EndAction    string
	EndAllAction string
	Sessions     []SessionLine
	RevokeAction string
	Tokens       []TokenLine
	Trail        []TrailLine
}

func (Account) template() string { return "account" }
func (a Account) viewer() Viewer { return a.Viewer }
