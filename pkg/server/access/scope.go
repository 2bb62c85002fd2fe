package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/server"
)

// Scopes that have no filter.
const (
	scopeSelf    = "self"    // everything of the owner's own
	scopeInherit = "inherit" // everything that the owner may do
)

// word is the part of a scope before its filter.
type word struct {
	// covers are the actions that it stands for.
	covers []Action
	// filters are the kinds of filters that it takes. Without one it is about all users, and only
	// administrators get it.
	filters []string
	// bare says that it may stand without a filter.
	bare bool
}

const (
	byUser   = "user"
	byServer = "server"
)

// wordOf returns JupyterHub's meaning of a word, as far as this platform has it; false for an
// unknown one. Of a user's model JupyterHub shows less to read:servers and read:users:activity.
func wordOf(text string) (word, bool) {
	own, one := []string{byUser}, []string{byUser, byServer}
	switch text {
	case "access:servers":
		return word{[]Action{EnterServers}, one, false}, true
	case "servers":
		// A token that may start a user's servers may see which there are.
		return word{[]Action{Servers, StopServers, ReadServers, ReportActivity, ReadUsers}, one, true}, true
	case "delete:servers":
		return word{[]Action{StopServers}, one, true}, true
	case "read:servers":
		return word{[]Action{ReadServers, ReadUsers}, one, true}, true
	case "users:activity":
		return word{[]Action{ReportActivity}, own, true}, true
	case "read:users", "read:users:activity":
		return word{[]Action{ReadUsers, ReadServers}, own, true}, true
	case "tokens":
		return word{[]Action{Tokens}, own, false}, true
	case "admin:servers":
		return word{[]Action{Servers, StopServers, ReadServers, ReportActivity, ReadUsers}, nil, true}, true
	case "admin:users":
		return word{[]Action{AdminUsers, ReadUsers, ReadServers, DeleteUsers, ListUsers, ReportActivity}, nil, true}, true
	case "list:users":
		return word{[]Action{ReadUsers, ReadServers, ListUsers}, nil, true}, true
	case "list:groups":
		return word{[]Action{ListGroups, ReadGroups}, nil, true}, true
	case "read:groups":
		return word{[]Action{ReadGroups}, nil, true}, true
	case "proxy":
		return word{[]Action{Routes}, nil, true}, true
	case "read:hub":
		return word{[]Action{ReadHub}, nil, true}, true
	}
	return word{}, false
}

// maxScopes bounds how many scopes one token may have.
const maxScopes = 30

// scope is one parsed scope. user is nil where there is no filter.
type scope struct {
	name   string
	covers []Action // nothing for scopeSelf and scopeInherit
	user   *string
	server *string
}

// everybody reports whether the scope is about all users.
func (s scope) everybody() bool { return s.user == nil && len(s.covers) > 0 }

// ParseScopes checks scopes that owner asks for and returns them in the form that is kept:
// sorted, without repetitions, "!user" spelt out. Only administrators get scopes about all users.
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
		if s.everybody() && !owner.Admin {
			return nil, fmt.Errorf("only administrators may ask for %q", text)
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// parse reads one scope; ok is false for anything that is not exactly one of ours.
func parse(text string) (scope, bool) {
	name, filter, filtered := strings.Cut(text, "!")
	if name == scopeSelf || name == scopeInherit {
		return scope{name: name}, !filtered
	}
	w, known := wordOf(name)
	s := scope{name: name, covers: w.covers}
	if !filtered {
		return s, known && w.bare
	}
	kind, value, ok := strings.Cut(filter, "=")
	if !ok || !slices.Contains(w.filters, kind) {
		return scope{}, false
	}
	if kind == byUser {
		s.user = &value
		return s, server.ValidUser(value) == nil
	}
	// "alice/" is alice's default server.
	user, one, ok := strings.Cut(value, "/")
	if !ok || server.ValidUser(user) != nil || one != "" && server.ValidServer(one) != nil {
		return scope{}, false
	}
	s.user, s.server = &user, &one
	return s, true
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
	case EndSessions, Pages:
		return false
	}
	if !known(action) {
		return false
	}
	return slices.ContainsFunc(g.scopes, func(text string) bool {
		s, ok := parse(text)
		return ok && s.cover(owner, action, target)
	})
}

// known reports whether tokens can be good for an action.
func known(action Action) bool {
	switch action {
	case EnterServers, Servers, StopServers, ReadServers, ReportActivity, ReadUsers, DeleteUsers, Tokens:
		return true
	}
	return action.General()
}

func (s scope) cover(owner string, action Action, target Target) bool {
	switch s.name {
	case scopeInherit:
		return true
	case scopeSelf:
		// What is about all users, or none, is never the owner's own.
		return target.User == owner && !action.General()
	}
	if !slices.Contains(s.covers, action) {
		return false
	}
	if s.user == nil {
		return true
	}
	if s.server != nil && (target.WholeUser || *s.server != target.Server) {
		return false
	}
	return *s.user == target.User
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
		if slices.ContainsFunc(s.covers, func(a Action) bool { return !ByToken(has).cover(owner.Name, a, target) }) {
			return false
		}
	}
	return true
}
