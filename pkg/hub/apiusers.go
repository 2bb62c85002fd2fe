package hub

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/paging"
)

// The users that a list has, in JupyterHub's words.
const (
	stateActive   = "active"   // with a server that runs, starts or stops
	stateReady    = "ready"    // with a server that runs
	stateInactive = "inactive" // without an active one
)

// What a list is sorted by. The platform gives users no numbers; JupyterHub's go by their first
// login, which is not known here, so the order of "id" is that of names.
const (
	sortID       = "id"
	sortName     = "name"
	sortActivity = "last_activity"
)

// userQuery is the query of JupyterHub's GET /users.
type userQuery struct {
	paging.Request
	state      string // "" for all
	sort       string
	descending bool
	filter     string // part of a name, in lower case
	stopped    bool   // with servers that are stopped
}

// readPage reads which part of a list is asked for.
func readPage(r *http.Request) (paging.Request, error) {
	q, err := paging.Read(r)
	if err != nil {
		return q, badRequest{http.StatusBadRequest, err.Error()}
	}
	return q, nil
}

// readUserQuery reads a query.
func readUserQuery(r *http.Request) (userQuery, error) {
	p, err := readPage(r)
	if err != nil {
		return userQuery{}, err
	}
	values := p.Values
	q := userQuery{Request: p, state: values.Get("state"), filter: strings.ToLower(values.Get("name_filter"))}
	if !slices.Contains([]string{"", stateActive, stateReady, stateInactive}, q.state) {
		return userQuery{}, badValue("state", "active, ready or inactive")
	}
	q.sort, q.descending = strings.CutPrefix(cmp.Or(values.Get("sort"), sortID), "-")
	if !slices.Contains([]string{sortID, sortName, sortActivity}, q.sort) {
		return userQuery{}, badValue("sort", "id, name or last_activity, or one of them after -")
	}
	q.stopped, err = readStopped(values)
	return q, err
}

func badValue(key, want string) error {
	return badRequest{http.StatusBadRequest, fmt.Sprintf("%s must be %s", key, want)}
}

// readStopped reads whether servers that are stopped are asked for.
func readStopped(values url.Values) (bool, error) {
	const key = "include_stopped_servers"
	if !values.Has(key) {
		return false, nil
	}
	switch strings.ToLower(values.Get(key)) {
	case "", "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, badValue(key, "true or false")
}

// apiUsers lists those who have something here: the directory knows who else may log in.
func (h *Hub) apiUsers(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	if err := may(who, access.ListUsers, access.Target{}); err != nil {
		return err
	}
	q, err := readUserQuery(r)
	if err != nil {
		return err
	}
	names := h.usersFor(q)
	from, to := q.Of(len(names))
	items, seen := []apiUser{}, viewOf(r, who, q.stopped)
	for _, name := range names[from:to] {
		items = append(items, h.user(seen, name))
	}
	web.JSON(w, http.StatusOK, q.Answer(items, len(names)))
	return nil
}

// usersFor returns the names of all whom a query is about, in its order.
func (h *Hub) usersFor(q userQuery) []string {
	names := slices.DeleteFunc(h.cluster.Users(), func(name string) bool {
		return !strings.Contains(strings.ToLower(name), q.filter)
	})
	// Servers are looked at only where the query is about them: of 10,000 users that takes a while.
	latest := map[string]time.Time{}
	if q.state != "" || q.sort == sortActivity {
		names = slices.DeleteFunc(names, func(name string) bool {
			active, ready, last := h.activity(name)
			latest[name] = last
			return q.state == stateActive && !active || q.state == stateReady && !ready || q.state == stateInactive && active
		})
	}
	if q.sort == sortActivity {
		slices.SortStableFunc(names, func(a, b string) int { return latest[a].Compare(latest[b]) })
	}
	if q.descending {
		slices.Reverse(names)
	}
	return names
}

// activity says what a user's servers do, and when one of them was last in use.
func (h *Hub) activity(name string) (active, ready bool, last time.Time) {
	now := time.Now()
	for _, s := range h.cluster.List(name) {
		switch s.Phase {
		case spawn.Answering:
			active, ready = true, true
		case spawn.Pending, spawn.Stopping:
			active = true
		}
		if at := s.LastUse(now); at.After(last) {
			last = at
		}
	}
	if len(h.cluster.Published(name)) > 0 {
		return true, true, now
	}
	return active, ready, last
}
