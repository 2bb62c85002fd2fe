package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// jupyterHubVersion is the JupyterHub version whose REST paths these are.
const jupyterHubVersion = "5.5.1"

func (h *Hub) apiVersion(w http.ResponseWriter, _ *http.Request, _ caller.Caller) error {
	web.JSON(w, http.StatusOK, map[string]string{"version": jupyterHubVersion})
	return nil
}

// apiServer is JupyterHub's server model, the fields that this platform has.
type apiServer struct {
	Name        string    `json:"name"`
	Ready       bool      `json:"ready"`
	Stopped     bool      `json:"stopped"`
	Pending     *string   `json:"pending"` // "spawn", "stop" or null
	URL         string    `json:"url"`
	ProgressURL string    `json:"progress_url"`
	Started     time.Time `json:"started"`
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
	Kind    string               `json:"kind"`
	Name    string               `json:"name"`
	Admin   bool                 `json:"admin"`
	Server  *string              `json:"server"` // URL of the default server when it is ready
	Pending *string              `json:"pending"`
	Servers map[string]apiServer `json:"servers"`
}

func (h *Hub) apiSelf(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	web.JSON(w, http.StatusOK, h.user(who.Name, who.Admin, language(r)))
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
	// Users are known to the directory, not to us: one without servers has an empty map.
	web.JSON(w, http.StatusOK, h.user(name, name == who.Name && who.Admin, language(r)))
	return nil
}

func (h *Hub) user(name string, admin bool, language string) apiUser {
	u := apiUser{Kind: "user", Name: name, Admin: admin, Servers: map[string]apiServer{}}
	for _, s := range h.cluster.List(name) {
		if s.Phase == spawn.Stopped {
			continue
		}
		m := h.model(s, language)
		u.Servers[s.ID.Name] = m
		if s.ID.Name == "" {
			u.Pending = m.Pending
			if m.Ready {
				u.Server = &m.URL
			}
		}
	}
	h.addPublished(&u)
	return u
}

func (h *Hub) model(s spawn.Server, language string) apiServer {
	m := apiServer{
		Name: s.ID.Name, Ready: s.Phase == spawn.Answering, URL: h.serverURL(s.ID),
		Stopped: s.Phase == spawn.Failed, ProgressURL: progressURL(s.ID), Started: s.Created,
		Notices: []apiNotice{},
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

// apiStart starts a server: 202 while it starts, 400 if it runs already, 503 if it runs and the
// gateway refuses its route.
func (h *Hub) apiStart(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, err := target(r, who)
	if err != nil {
		return err
	}
	options, err := readOptions(r)
	if err != nil {
		return err
	}
	s, err := h.cluster.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if s.Phase == spawn.Answering {
		if _, refused := asProblem(h.reach(r.Context(), s)); refused {
			return errRefused
		}
		return badRequest{http.StatusBadRequest, id.String() + " is already running"}
	}
	if err := h.start(r.Context(), spawn.Request{ID: id, Owner: ownerOf(id, who), Options: options}); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// readJSON reads a body that must be JSON or empty.
func readJSON(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return nil, badRequest{http.StatusRequestEntityTooLarge, "the body is too large"}
		}
		return nil, badRequest{http.StatusBadRequest, "the body cannot be read"}
	}
	// A form of another site can send text/plain without asking; never JSON (S9).
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && (err != nil || kind != "application/json") {
		return nil, badRequest{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	return body, nil
}

// readOptions reads JupyterHub's user_options from the body.
func readOptions(r *http.Request) (spawn.Options, error) {
	body, err := readJSON(r)
	if err != nil {
		return spawn.Options{}, err
	}
	options, err := spawn.ParseOptions(body)
	if err != nil {
		return spawn.Options{}, badRequest{http.StatusBadRequest, err.Error()}
	}
	return options, nil
}

// readRemove reads JupyterHub's {"remove": true}, which deletes a named server for good.
func readRemove(r *http.Request) (bool, error) {
	body, err := readJSON(r)
	if err != nil || len(body) == 0 {
		return false, err
	}
	var what struct {
		Remove bool `json:"remove"`
	}
	if err := json.Unmarshal(body, &what); err != nil {
		return false, badRequest{http.StatusBadRequest, `the body must be {"remove": true} or empty`}
	}
	return what.Remove, nil
}

// apiStop stops a server, and deletes its name where the body says so: 204 once it is gone, 202
// if that takes longer.
func (h *Hub) apiStop(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	forget, err := readRemove(r)
	if err != nil {
		return err
	}
	if err := h.stoppable(s); err != nil && !forget {
		return err
	}
	stop := func(ctx context.Context, id server.ID) (bool, error) { return h.cluster.Stop(ctx, id, stopWait) }
	if forget {
		stop = h.remove
	}
	gone, err := stop(r.Context(), id)
	if err != nil {
		return err
	}
	if !gone {
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
