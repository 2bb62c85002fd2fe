package hub

import (
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/origin"
)

// apiServer is JupyterHub's server model, the fields that this platform has. JupyterHub's state, what a
// spawner keeps of a server, is not there: Kubernetes keeps it.
type apiServer struct {
	Name    string  `json:"name"`
	Ready   bool    `json:"ready"`
	Stopped bool    `json:"stopped"`
	Pending *string `json:"pending"` // "spawn", "stop" or null
	// URL is a path, or with its owner's host where each user has one; FullURL has a host in any case.
	URL             string `json:"url"`
	FullURL         string `json:"full_url"`
	ProgressURL     string `json:"progress_url"`
	FullProgressURL string `json:"full_progress_url"`
	// Started is null for a server that is stopped.
	Started *time.Time `json:"started"`
	// LastActivity is when it was last in use: now while a kernel works, and where that cannot be known.
	LastActivity *time.Time    `json:"last_activity"`
	UserOptions  spawn.Options `json:"user_options"`
	// DisplayName is what the user calls it; JupyterHub has it since 6.0.
	DisplayName string `json:"display_name"`
	// Published says that the platform did not start it and does not stop it; JupyterHub has none.
	Published bool `json:"published"`
	// EndsAt is when a server with a maximum age ends; JupyterHub has none.
	EndsAt *time.Time `json:"ends_at,omitempty"`
	// Warning says that it will soon be stopped; JupyterHub has none.
	Warning *apiWarning `json:"warning,omitempty"`
	// Notices is what happened to a server that goes on; JupyterHub has no such field.
	Notices []apiNotice `json:"notices"`
}

// apiNotice is one spawn.Notice in the caller's language.
type apiNotice struct {
	ID   string    `json:"id"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// apiUser is JupyterHub's user model. Rights and groups come with a request: the caller's own, and the
// groups of the one user whom an administrator asks about. Those of others are not known here, and left
// out.
type apiUser struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Admin  *bool    `json:"admin,omitempty"`
	Groups []string `json:"groups,omitzero"`
	// Roles are JupyterHub's own two: user, and admin for administrators.
	Roles []string `json:"roles,omitzero"`
	// Scopes are those of the API token that asks; absent for a session.
	Scopes  []string `json:"scopes,omitzero"`
	Server  *string  `json:"server"` // URL of the default server when it is ready
	Pending *string  `json:"pending"`
	// Created is null: the platform does not keep when it first saw a user.
	Created *time.Time `json:"created"`
	// LastActivity is the latest of the user's servers; null without one.
	LastActivity *time.Time           `json:"last_activity"`
	Servers      map[string]apiServer `json:"servers"`
}

// view is how a model is shown.
type view struct {
	who      caller.Caller
	stopped  bool   // with servers that are stopped
	language string // of the caller
	origin   string // that the request was sent to
}

func viewOf(r *http.Request, who caller.Caller, stopped bool) view {
	return view{who, stopped, language(r), origin.OfRequest(r)}
}

func (h *Hub) apiSelf(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	if err := may(who, access.ReadUsers, access.Target{User: who.Name, WholeUser: true}); err != nil {
		return err
	}
	stopped, err := readStopped(r.URL.Query())
	if err != nil {
		return err
	}
	u := h.user(viewOf(r, who, stopped), who.Name)
	if who.ByToken {
		u.Scopes = append([]string{}, who.Scopes...)
	}
	web.JSON(w, http.StatusOK, u)
	return nil
}

func (h *Hub) apiUser(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	name := r.PathValue("user")
	if err := may(who, access.ReadUsers, access.Target{User: name, WholeUser: true}); err != nil {
		return err
	}
	if err := server.ValidUser(name); err != nil {
		return badRequest{http.StatusBadRequest, err.Error()}
	}
	stopped, err := readStopped(r.URL.Query())
	if err != nil {
		return err
	}
	if name != who.Name && name != who.Subject.Name && !h.hasAnything(name) {
		return errNobody
	}
	web.JSON(w, http.StatusOK, h.user(viewOf(r, who, stopped), name))
	return nil
}

// apiServer answers one server's model. Every user has a default server, which may be stopped.
func (h *Hub) apiServer(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServerOf(r, who, access.ReadServers)
	if err != nil {
		return err
	}
	v := viewOf(r, who, true)
	for _, p := range h.cluster.Published(id.User) {
		if p.ID == id {
			web.JSON(w, http.StatusOK, h.published(v, p))
			return nil
		}
	}
	if id.Name != "" && s.UID == "" && s.Phase == spawn.Stopped && !s.Kept {
		return errNotFound
	}
	web.JSON(w, http.StatusOK, h.model(v, s))
	return nil
}

// hasAnything reports whether a user has something here; who may log in beside these is known to authz.
func (h *Hub) hasAnything(user string) bool {
	return len(h.cluster.List(user))+len(h.cluster.Published(user)) > 0 || slices.Contains(h.cluster.Users(), user)
}

// user is a user as a caller sees them.
func (h *Hub) user(v view, name string) apiUser {
	u := apiUser{Kind: "user", Name: name, Servers: map[string]apiServer{}}
	if name == v.who.Name {
		u.Admin, u.Groups, u.Roles = &v.who.Admin, append([]string{}, v.who.Groups...), []string{"user"}
		if v.who.Admin {
			u.Roles = append(u.Roles, "admin")
		}
	}
	if name == v.who.Subject.Name {
		u.Groups = append([]string{}, v.who.Subject.Groups...)
	}
	used := func(at *time.Time) {
		if at != nil && (u.LastActivity == nil || at.After(*u.LastActivity)) {
			u.LastActivity = at
		}
	}
	for _, s := range h.cluster.List(name) {
		m := h.model(v, s)
		used(m.LastActivity)
		if s.Phase == spawn.Stopped && !v.stopped {
			continue
		}
		u.Servers[s.ID.Name] = m
		if s.ID.Name == "" {
			u.Pending = m.Pending
			if m.Ready {
				u.Server = &m.URL
			}
		}
	}
	h.addPublished(v, &u)
	for _, s := range u.Servers {
		used(s.LastActivity)
	}
	return u
}

// address fills in where a server is.
func (h *Hub) address(v view, id server.ID, m *apiServer) {
	m.Name, m.URL, m.ProgressURL = id.Name, h.serverURL(id), progressURL(id)
	m.FullURL, m.FullProgressURL = m.URL, v.origin+m.ProgressURL
	if strings.HasPrefix(m.URL, "/") {
		m.FullURL = v.origin + m.URL
	}
}

func (h *Hub) model(v view, s spawn.Server) apiServer {
	m := apiServer{
		Ready: s.Phase == spawn.Answering, Stopped: s.Phase == spawn.Failed || s.Phase == spawn.Stopped,
		UserOptions: s.Options, DisplayName: s.DisplayName, Notices: []apiNotice{}, Warning: h.apiWarned(s, v.language),
	}
	h.address(v, s.ID, &m)
	if !s.Created.IsZero() {
		m.Started = &s.Created
	}
	if at := s.LastUse(time.Now()); !at.IsZero() {
		m.LastActivity = new(at.UTC())
	}
	if !s.Ends.IsZero() {
		m.EndsAt = &s.Ends
	}
	for _, n := range s.Notices {
		m.Notices = append(m.Notices, apiNotice{ID: string(n.Message), Text: h.web.Text(v.language, string(n.Message), n.Data), Time: n.At.UTC()})
	}
	if m.Ready {
		m.Notices = h.withMessages(m.Notices, v.language)
	}
	switch s.Phase {
	case spawn.Pending:
		m.Pending = new("spawn")
	case spawn.Stopping:
		m.Pending = new("stop")
	}
	return m
}

// apiInfo is JupyterHub's GET /info. Nothing here is Python, so those fields are empty.
func (h *Hub) apiInfo(w http.ResponseWriter, _ *http.Request, who caller.Caller) error {
	if err := may(who, access.ReadHub, access.Target{}); err != nil {
		return err
	}
	version := "unknown"
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		version = build.Main.Version
	}
	part := func(class string) map[string]string { return map[string]string{"class": class, "version": version} }
	web.JSON(w, http.StatusOK, map[string]any{
		"version": jupyterHubVersion, "python": "", "sys_executable": "",
		"spawner": part("perijove.spawner"), "authenticator": part("perijove.authz"),
	})
	return nil
}
