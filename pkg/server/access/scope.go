package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/server"
)

// Scopes that have no filter.
const (
	scopeSelf         = "self"    // everything of the owner's own
	scopeInherit      = "inherit" // everything that the owner may do
	scopeAdminServers = "admin:servers"
	scopeAdminUsers   = "admin:users"
	scopeListUsers    = "list:users" // all users and their servers, to read
	scopeReadHub      = "read:hub"
)

// adminScopes are those that only administrators get.
func adminScopes() []string {
	return []string{scopeAdminServers, scopeAdminUsers, scopeListUsers, scopeReadHub}
}

// maxScopes bounds how many scopes one token may have.
const maxScopes = 30

// scope is one parsed scope. user is nil where there is no filter.
type scope struct {
	action string
	user   *string
	server *string
}

// ParseScopes checks scopes that owner asks for and returns them in the form that is kept:
// sorted, without repetitions, "!user" spelt out. Only administrators get adminScopes.
func ParseScopes(owner User, asked []string) ([]string, error) {
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
		if slices.Contains(adminScopes(), s.action) && !owner.Admin {
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
		known := action == scopeSelf || action == scopeInherit || slices.Contains(adminScopes(), action)
		return scope{action: action}, known
	}
	kind, value, ok := strings.Cut(filter, "=")
	if !ok {
		return scope{}, false
	}
	switch Action(action) {
	case EnterServers, Servers:
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

// cover reports whether the grants cover an action of the user named owner.
func (g Grants) cover(owner string, action Action, target Target) bool {
	if g.session {
		return true
	}
	switch action {
	case Version:
		return true
	case MakeTokens:
		action = Tokens
	case EnterServers, Servers, ReadUsers, DeleteUsers, Tokens, ListUsers, ReadHub:
	default:
		return false
	}
	return slices.ContainsFunc(g.scopes, func(text string) bool {
		s, ok := parse(text)
		return ok && s.covers(owner, action, target)
	})
}

func (s scope) covers(owner string, action Action, target Target) bool {
	switch s.action {
	case scopeInherit:
		return true
	case scopeSelf:
		// What is about all users, or none, is never the owner's own.
		return target.User == owner && action != ListUsers && action != ReadHub
	case scopeAdminServers:
		return action == Servers || action == ReadUsers
	case scopeAdminUsers:
		return action == ReadUsers || action == DeleteUsers || action == ListUsers
	case scopeListUsers:
		return action == ReadUsers || action == ListUsers
	case scopeReadHub:
		return action == ReadHub
	}
	if s.user == nil || *s.user != target.User {
		return false
	}
	if s.server != nil {
		return s.action == string(action) && !target.WholeUser && *s.server == target.Server
	}
	// A token that may start a user's servers may see which there are.
	return s.action == string(action) || s.action == string(Servers) && action == ReadUsers
}

// Narrower reports whether scopes that a token asks for are all covered by the scopes
// that it has itself: a token makes no stronger token.
func Narrower(owner User, asked, has []string) bool {
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
		target := Target{User: *s.user, WholeUser: s.server == nil}
		if s.server != nil {
			target.Server = *s.server
		}
		if !ByToken(has).cover(owner.Name, Action(s.action), target) {
			return false
		}
	}
	return true
}
