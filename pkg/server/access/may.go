package access

// Action is something that a request does, in JupyterHub's words where it has some.
type Action string

// Actions. The zero Action is unknown, and no user may do it.
const (
	EnterServers   Action = "access:servers" // send requests to a server
	Servers        Action = "servers"        // start servers
	StopServers    Action = "delete:servers" // stop servers
	ReadServers    Action = "read:servers"   // see a server and watch its start
	ReportActivity Action = "users:activity" // say that servers are in use
	ReadUsers      Action = "read:users"     // see a user and their servers
	Tokens         Action = "tokens"         // list and revoke API tokens
	MakeTokens     Action = "tokens:make"    // make an API token; its scope is that of Tokens
	DeleteUsers    Action = "delete:users"   // delete what a user has here
	AdminUsers     Action = "admin:users"    // learn why users are not made and changed here
	ListUsers      Action = "list:users"     // see all users and their servers
	ListGroups     Action = "list:groups"    // see all groups and their members
	ReadGroups     Action = "read:groups"    // see a group and its members
	Routes         Action = "proxy"          // see where requests are led
	ReadHub        Action = "read:hub"       // see what the platform is made of
	EndSessions    Action = "sessions"       // end a user's sessions; never by a token
	Pages          Action = "pages"          // open the platform's own pages; never by a token
	Version        Action = "version"        // read the platform's version
)

// General reports whether an action is about the whole platform and no user's own.
func (a Action) General() bool {
	switch a {
	case ListUsers, AdminUsers, ListGroups, ReadGroups, Routes, ReadHub:
		return true
	}
	return false
}

// Target is the user, or one of their servers, that an action is done to. Version, Pages and
// what is about the whole platform have none.
type Target struct {
	User   string // raw name
	Server string // raw name; "" is the default server
	// WholeUser means all of the user's servers: a scope for one server is not enough.
	WholeUser bool
}

// Grants is how a request proves its user: by a session, which grants all of the user's
// rights, or by an API token, which grants what its scopes cover. The zero Grants is a
// token without scopes.
type Grants struct {
	session bool
	scopes  []string
}

// BySession returns the grants of a session or a pass.
func BySession() Grants { return Grants{session: true} }

// ByToken returns the grants of an API token with these scopes.
func ByToken(scopes []string) Grants { return Grants{scopes: scopes} }

// May reports whether user may do action to target with these grants. It is the one place
// where rights are decided. Two things must hold: the user has the right at this moment,
// whatever they had when a token was made (S13), and the grants cover it (S12).
//
// Names are compared byte for byte: folding case would make ALICE's pods alice's (P8).
func May(user User, action Action, target Target, grants Grants) bool {
	return user.Name != "" && user.has(action, target, grants) && grants.cover(user.Name, action, target)
}

// has reports whether the user has the right, whatever the grants: to all that is the user's
// own and, for administrators, to most of all users'.
func (u User) has(action Action, target Target, grants Grants) bool {
	own := target.User != "" && target.User == u.Name
	others := target.User != "" && u.Admin
	switch action {
	case Version, Pages:
		return true
	case EnterServers, Servers, StopServers, ReadServers, ReportActivity, ReadUsers, EndSessions:
		return own || others
	case DeleteUsers:
		return others
	case Tokens:
		return own || others && grants.session
	case MakeTokens:
		// The holder of a token acts as its owner: an administrator makes none for others (S13).
		return own
	}
	return action.General() && u.Admin
}
