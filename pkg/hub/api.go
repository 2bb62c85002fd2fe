package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
)

// jupyterHubVersion is the JupyterHub version whose REST paths these are.
const jupyterHubVersion = "5.5.1"

// keepAlive is how often a silent event stream says that it lives, as JupyterHub does;
// proxies on the way close silent connections.
const keepAlive = 8 * time.Second

func (h *Hub) apiVersion(w http.ResponseWriter, _ *http.Request, _ visitor) error {
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

func (h *Hub) apiSelf(w http.ResponseWriter, _ *http.Request, v visitor) error {
	web.JSON(w, http.StatusOK, h.user(v.Name, v.Admin))
	return nil
}

func (h *Hub) apiUser(w http.ResponseWriter, r *http.Request, v visitor) error {
	name := r.PathValue("user")
	if err := v.may(access.ReadUsers, access.Target{User: name, WholeUser: true}); err != nil {
		return err
	}
	if err := server.ValidUser(name); err != nil {
		return badRequest{http.StatusBadRequest, err.Error()}
	}
	// Users are known to the directory, not to us: one without servers has an empty map.
	web.JSON(w, http.StatusOK, h.user(name, name == v.Name && v.Admin))
	return nil
}

func (h *Hub) user(name string, admin bool) apiUser {
	u := apiUser{Kind: "user", Name: name, Admin: admin, Servers: map[string]apiServer{}}
	for _, s := range h.Cluster.List(name) {
		if s.Phase == spawn.Stopped {
			continue
		}
		m := h.model(s)
		u.Servers[s.ID.Name] = m
		if s.ID.Name == "" {
			u.Pending = m.Pending
			if m.Ready {
				u.Server = &m.URL
			}
		}
	}
	return u
}

func (h *Hub) model(s kube.Server) apiServer {
	m := apiServer{
		Name: s.ID.Name, Ready: s.Phase == spawn.Answering, URL: h.serverURL(s.ID),
		Stopped: s.Phase == spawn.Failed, ProgressURL: progressURL(s.ID), Started: s.Created,
	}
	switch s.Phase {
	case spawn.Pending:
		m.Pending = new("spawn")
	case spawn.Stopping:
		m.Pending = new("stop")
	}
	return m
}

// apiStart starts a server: 202 while it starts, 400 if it runs already.
func (h *Hub) apiStart(w http.ResponseWriter, r *http.Request, v visitor) error {
	id, err := target(r, v)
	if err != nil {
		return err
	}
	if err := h.checkOptions(r); err != nil {
		return err
	}
	s, err := h.Cluster.Get(r.Context(), id)
	if err != nil {
		return err
	}
	if s.Phase == spawn.Answering {
		return badRequest{http.StatusBadRequest, id.String() + " is already running"}
	}
	if err := h.start(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// checkOptions reads JupyterHub's user_options. The profile is the only one: an option
// that was ignored silently would look as if it had been granted.
func (h *Hub) checkOptions(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return badRequest{http.StatusRequestEntityTooLarge, "the body is too large"}
		}
		return badRequest{http.StatusBadRequest, "the body cannot be read"}
	}
	if len(body) == 0 {
		return nil
	}
	// A form of another site can send text/plain without asking; never JSON (S9).
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return badRequest{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	options := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &options); err != nil {
		return badRequest{http.StatusBadRequest, "the body must be a JSON object"}
	}
	for key, value := range options {
		var slug string
		if key != "profile" || json.Unmarshal(value, &slug) != nil || slug != h.Cluster.Profile().Slug {
			return badRequest{http.StatusBadRequest, "the only option is profile, and the only profile is " + h.Cluster.Profile().Slug}
		}
	}
	return nil
}

// apiStop stops a server: 204 once it is gone, 202 if that takes longer.
func (h *Hub) apiStop(w http.ResponseWriter, r *http.Request, v visitor) error {
	id, err := target(r, v)
	if err != nil {
		return err
	}
	gone, err := h.Cluster.Stop(r.Context(), id, stopWait)
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

// progressEvent is JupyterHub's form of one line of a progress stream.
type progressEvent struct {
	Progress int    `json:"progress"`
	Message  string `json:"message"`
	Ready    bool   `json:"ready,omitempty"`
	URL      string `json:"url,omitempty"`
	Failed   bool   `json:"failed,omitempty"`
}

// apiProgress streams how far a server is, from the beginning, until it is ready or has
// failed.
func (h *Hub) apiProgress(w http.ResponseWriter, r *http.Request, v visitor) error {
	id, s, err := h.targetServer(r, v)
	if err != nil {
		return err
	}
	if s.Phase == spawn.Stopped || s.Phase == spawn.Stopping {
		return badRequest{http.StatusBadRequest, id.String() + " is not starting"}
	}
	session, err := sse.Upgrade(w, r)
	if err != nil {
		return badRequest{http.StatusNotImplemented, "this connection cannot carry an event stream"}
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	(&stream{hub: h, session: session, id: id, language: language(r), sent: map[string]bool{}}).run(r.Context())
	return nil
}

// stream is one open progress stream.
type stream struct {
	hub      *Hub
	session  *sse.Session
	id       server.ID
	language string
	uid      string
	sent     map[string]bool
}

// run sends what is new after each change until there is nothing more to come. Errors
// of the connection end it: the browser connects again.
func (st *stream) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed, stop := st.hub.Cluster.Watch(st.id)
	defer stop()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	var served chan error // answers whether the route is there; nil while nobody asked
	for {
		s, err := st.hub.Cluster.Get(ctx, st.id)
		if err == nil {
			if over := st.tell(s); over {
				return
			}
			if s.Phase == spawn.Answering && served == nil {
				served = make(chan error, 1)
				go func(answer chan<- error) { answer <- st.hub.Served(ctx, s.ID, s.UID) }(served)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-st.hub.Done:
			return
		case <-changed:
		case <-alive.C:
			ping := &sse.Message{}
			ping.AppendComment("")
			if st.send(ping) != nil {
				return
			}
		case err := <-served:
			served = nil
			if err == nil && st.ready(ctx) {
				return
			}
		}
	}
}

// tell sends the steps that were not sent yet; true means that the stream is over.
func (st *stream) tell(s kube.Server) (over bool) {
	if s.UID != st.uid { // a new pod: its story starts again
		st.uid, st.sent = s.UID, map[string]bool{}
	}
	for _, step := range s.Steps {
		if st.sent[step.Key()] {
			continue
		}
		st.sent[step.Key()] = true
		text := st.hub.Web.Text(st.language, string(step.Message), step.Data)
		if step.Detail != "" {
			text += ": " + step.Detail
		}
		if st.event(progressEvent{Progress: step.Percent, Message: text, Failed: step.Failed}) != nil || step.Failed {
			return true
		}
	}
	// Stopped or being stopped: nothing more will come.
	return s.Phase == spawn.Stopped || s.Phase == spawn.Stopping
}

// ready sends the last event, unless the server has changed since its route was seen.
func (st *stream) ready(ctx context.Context) bool {
	s, err := st.hub.Cluster.Get(ctx, st.id)
	if err != nil || s.Phase != spawn.Answering || s.UID != st.uid {
		return false
	}
	text := st.hub.Web.Text(st.language, string(spawn.MsgReady), nil)
	_ = st.event(progressEvent{Progress: 100, Message: text, Ready: true, URL: st.hub.serverURL(s.ID)}) // over either way
	return true
}

func (st *stream) event(e progressEvent) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	m := &sse.Message{}
	m.AppendData(string(data))
	return st.send(m)
}

func (st *stream) send(m *sse.Message) error {
	if err := st.session.Send(m); err != nil {
		return err
	}
	return st.session.Flush()
}

func asProblem(err error) (*spawn.Problem, bool) {
	var p *spawn.Problem
	ok := errors.As(err, &p)
	return p, ok
}
