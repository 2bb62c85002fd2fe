package hub

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// JupyterHub's pages of users (apihandlers/base.py): clients that know of pages get short ones.
const (
	paginationType = "application/jupyterhub-pagination+json"
	pageLimit      = 50
	maxPageLimit   = 200
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
	offset, limit int
	state         string // "" for all
	sort          string
	descending    bool
	filter        string // part of a name, in lower case
	stopped       bool   // with servers that are stopped
}

// readUserQuery reads a query. paged says that the client knows of pages; others get long ones.
func readUserQuery(values url.Values, paged bool) (userQuery, error) {
	q := userQuery{limit: maxPageLimit, state: values.Get("state"), filter: strings.ToLower(values.Get("name_filter"))}
	if paged {
		q.limit = pageLimit
	}
	var err error
	if q.offset, err = readNumber(values, "offset", 0, 0); err != nil {
		return userQuery{}, err
	}
	if q.limit, err = readNumber(values, "limit", q.limit, 1); err != nil {
		return userQuery{}, err
	}
	q.limit = min(q.limit, maxPageLimit)
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

// readNumber reads a whole number of at least least.
func readNumber(values url.Values, key string, without, least int) (int, error) {
	text := values.Get(key)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		return 0, badValue(key, fmt.Sprintf("a whole number of at least %d", least))
	}
	return n, nil
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

// apiPage is JupyterHub's pagination, which says where the next page is.
type apiPage struct {
	Offset int      `json:"offset"`
	Limit  int      `json:"limit"`
	Total  int      `json:"total"`
	Next   *apiNext `json:"next"`
}

type apiNext struct {
	Offset int    `json:"offset"`
	Limit  int    `json:"limit"`
	URL    string `json:"url"`
}

// apiUsers lists those who have something here: the directory knows who else may log in.
func (h *Hub) apiUsers(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	if err := may(who, access.ListUsers, access.Target{}); err != nil {
		return err
	}
	paged := strings.Contains(strings.Join(r.Header.Values("Accept"), ","), paginationType)
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest{http.StatusBadRequest, "the query cannot be read"}
	}
	q, err := readUserQuery(values, paged)
	if err != nil {
		return err
	}
	names := h.usersFor(q)
	from := min(q.offset, len(names))
	to := min(from+q.limit, len(names))
	items := []apiUser{}
	for _, name := range names[from:to] {
		items = append(items, h.user(who, name, q.stopped, language(r)))
	}
	if !paged {
		web.JSON(w, http.StatusOK, items)
		return nil
	}
	page := apiPage{Offset: q.offset, Limit: q.limit, Total: len(names)}
	if to < len(names) {
		page.Next = &apiNext{Offset: to, Limit: q.limit, URL: nextURL(r, values, to, q.limit)}
	}
	web.JSON(w, http.StatusOK, map[string]any{"items": items, "_pagination": page})
	return nil
}

// nextURL is the address of the next page, whole: JupyterHub's clients ask what they find. authz has
// compared the Host header with ours, and Envoy sets the scheme.
func nextURL(r *http.Request, values url.Values, offset, limit int) string {
	values.Set("offset", strconv.Itoa(offset))
	values.Set("limit", strconv.Itoa(limit))
	next := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: values.Encode()}
	if r.Header.Get("X-Forwarded-Proto") == "https" {
		next.Scheme = "https"
	}
	return next.String()
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
