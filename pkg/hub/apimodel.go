package hub

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// apiServer is JupyterHub's server model, the fields that this platform has.
type apiServer struct {
	Name        string  `json:"name"`
	Ready       bool    `json:"ready"`
	Stopped     bool    `json:"stopped"`
	Pending     *string `json:"pending"` // "spawn", "stop" or null
	URL         string  `json:"url"`
	ProgressURL string  `json:"progress_url"`
	// Started is null for a server that is stopped.
	Started *time.Time `json:"started"`
	// LastActivity is when it was last in use: now while a kernel works, and where that cannot be known.
	LastActivity *time.Time `json:"last_activity"`
	// Published says that the platform did not start it and does not stop it; JupyterHub has none.
	Published bool `json:"published"`
	// EndsAt is when a server with a maximum age ends; JupyterHub has none.
	EndsAt *time.Time `json:"ends_at,omitempty"`
	// Notices is what happened to a server that goes on; JupyterHub has no such field.
	Notices []apiNotice `json:"notices"`
}

// apiNotice is one spawn.Notice in the caller's language.
type apiNotice struct {
	ID   string    `json:"id"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
}

// apiUser is JupyterHub's user model.
type apiUser struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Admin   bool    `json:"admin"`
	Server  *string `json:"server"` // URL of the default server when it is ready
	Pending *string `json:"pending"`
	// LastActivity is the latest of the user's servers; null without one.
	LastActivity *time.Time           `json:"last_activity"`
	Servers      map[string]apiServer `json:"servers"`
}

func (h *Hub) apiSelf(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	stopped, err := readStopped(r.URL.Query())
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, h.user(who, who.Name, stopped, language(r)))
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
	// Users are known to the directory, not to us: one without servers has an empty map.
	web.JSON(w, http.StatusOK, h.user(who, name, stopped, language(r)))
	return nil
}

// user is a user as who sees them, with servers that are stopped where stopped says so. Whether
// somebody is an administrator is known of callers only.
func (h *Hub) user(who caller.Caller, name string, stopped bool, language string) apiUser {
	u := apiUser{Kind: "user", Name: name, Admin: name == who.Name && who.Admin, Servers: map[string]apiServer{}}
	used := func(at *time.Time) {
		if at != nil && (u.LastActivity == nil || at.After(*u.LastActivity)) {
			u.LastActivity = at
		}
	}
	for _, s := range h.cluster.List(name) {
		m := h.model(s, language)
		used(m.LastActivity)
		if s.Phase == spawn.Stopped && !stopped {
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
	h.addPublished(&u)
	for _, s := range u.Servers {
		used(s.LastActivity)
	}
	return u
}

func (h *Hub) model(s spawn.Server, language string) apiServer {
	m := apiServer{
		Name: s.ID.Name, Ready: s.Phase == spawn.Answering, URL: h.serverURL(s.ID),
		Stopped: s.Phase == spawn.Failed || s.Phase == spawn.Stopped, ProgressURL: progressURL(s.ID),
		Notices: []apiNotice{},
	}
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
		m.Notices = append(m.Notices, apiNotice{ID: string(n.Message), Text: h.web.Text(language, string(n.Message), n.Data), Time: n.At.UTC()})
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
