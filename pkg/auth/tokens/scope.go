package tokens

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Action is what a request does, in JupyterHub's words.
type Action string

// Actions. The zero Action is unknown and no scope covers it.
const (
	Access    Action = "access:servers" // enter a server
	Servers   Action = "servers"        // start, stop and watch servers
	ReadUsers Action = "read:users"     // who somebody is, and their servers
	Tokens    Action = "tokens"         // list, make and revoke API tokens
	Version   Action = "version"        // nothing of anybody's
)

// Need is what a request needs: to do Action to User, or to one server of theirs.
type Need struct {
	Action Action
	User   string
	Server string // raw name; "" is the default server
	// WholeUser: all of the user's servers, so that a scope for one is not enough.
	WholeUser bool
}

// Scopes that have no filter.
const (
	scopeSelf         = "self"    // everything of the owner's own
	scopeInherit      = "inherit" // everything that the owner may do
	scopeAdminServers = "admin:servers"
	scopeAdminUsers   = "admin:users"
)

// maxScopes bounds how many scopes one token may have.
const maxScopes = 30

// scope is one parsed scope. user is nil where there is no filter.
type scope struct {
	action string
	user   *string
	server *string
}

// Parse checks scopes that owner asks for and returns them in the form that is kept:
// sorted, without repetitions, "!user" spelt out. Only administrators get admin scopes.
func Parse(owner access.User, asked []string) ([]string, error) {
	if len(asked) == 0 {
		return nil, fmt.Errorf("a token needs at least one scope")
	}
	if len(asked) > maxScopes {
		return nil, fmt.Errorf("a token has at most %d scopes", maxScopes)
	}
	var out []string
	for _, text := range asked {
		if action, filter, _ := strings.Cut(text, "!"); filter == "user" {
			text = action + "!user=" + owner.Name
		}
		s, ok := parse(text)
		if !ok {
			return nil, fmt.Errorf("there is no scope %.80q", text)
		}
		if (s.action == scopeAdminServers || s.action == scopeAdminUsers) && !owner.Admin {
			return nil, fmt.Errorf("only administrators may ask for %q", text)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// parse reads one scope; ok is false for anything that is not exactly one of ours.
func parse(text string) (scope, bool) {
	action, filter, filtered := strings.Cut(text, "!")
	if !filtered {
		switch action {
		case scopeSelf, scopeInherit, scopeAdminServers, scopeAdminUsers:
			return scope{action: action}, true
		}
		return scope{}, false
	}
	kind, value, ok := strings.Cut(filter, "=")
	if !ok {
		return scope{}, false
	}
	switch Action(action) {
	case Access, Servers:
	case ReadUsers, Tokens:
		if kind != "user" {
			return scope{}, false
		}
	default:
		return scope{}, false
	}
	switch kind {
	case "user":
		return scope{action: action, user: &value}, server.ValidUser(value) == nil
	case "server":
		// "alice/" is alice's default server.
		user, name, ok := strings.Cut(value, "/")
		if !ok || server.ValidUser(user) != nil || name != "" && server.ValidServer(name) != nil {
			return scope{}, false
		}
		return scope{action: action, user: &user, server: &name}, true
	}
	return scope{}, false
}

// Allow reports whether a token of owner with these scopes may make a request of the REST
// API: the scopes must cover it, and the owner must be allowed to make it now, whatever
// they could do when the token was made (S13).
func Allow(owner access.User, scopes []string, need Need) bool {
	return ownerMay(owner, need) && Cover(owner.Name, scopes, need)
}

// ownerMay is what a person may do to another: nothing, unless an administrator. Even
// those make no tokens in another's name: whoever holds one acts as its owner.
func ownerMay(owner access.User, need Need) bool {
	if owner.Name == "" {
		return false
	}
	switch need.Action {
	case Version:
		return true
	case Servers, ReadUsers:
		return need.User != "" && (need.User == owner.Name || owner.Admin)
	case Tokens:
		return need.User == owner.Name
	}
	return false
}

// Cover reports whether the scopes cover what is needed, whoever the owner is. What the
// owner may enter, pkg/server/access decides beside it.
func Cover(owner string, scopes []string, need Need) bool {
	switch need.Action {
	case Version:
		return true
	case Access, Servers, ReadUsers, Tokens:
	default:
		return false
	}
	return slices.ContainsFunc(scopes, func(text string) bool {
		s, ok := parse(text)
		return ok && s.covers(owner, need)
	})
}

func (s scope) covers(owner string, need Need) bool {
	switch s.action {
	case scopeInherit:
		return true
	case scopeSelf:
		return need.User == owner
	case scopeAdminServers:
		return need.Action == Servers || need.Action == ReadUsers
	case scopeAdminUsers:
		return need.Action == ReadUsers
	}
	if s.user == nil || *s.user != need.User {
		return false
	}
	if s.server != nil {
		return s.action == string(need.Action) && !need.WholeUser && *s.server == need.Server
	}
	// Whoever may start a person's servers may see which there are.
	return s.action == string(need.Action) || s.action == string(Servers) && need.Action == ReadUsers
}

// Narrower reports whether scopes that a token asks for are all covered by the scopes
// that it has itself: a token makes no stronger token.
func Narrower(owner access.User, asked, has []string) bool {
	for _, text := range asked {
		s, ok := parse(text)
		if !ok {
			return false
		}
		if slices.Contains(has, scopeInherit) || slices.Contains(has, text) {
			continue
		}
		if s.user == nil {
			return false // self, inherit and admin scopes only as they stand
		}
		need := Need{Action: Action(s.action), User: *s.user, WholeUser: s.server == nil}
		if s.server != nil {
			need.Server = *s.server
		}
		if !Cover(owner.Name, has, need) {
			return false
		}
	}
	return true
}
