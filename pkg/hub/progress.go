package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/caller"
)

// percentRoute is how far a server is that answers and whose route does not come.
const percentRoute = 95

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
func (h *Hub) apiProgress(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.expectedServer(r, who)
	if err != nil {
		return err
	}
	if s.Phase == spawn.Stopped || s.Phase == spawn.Stopping {
		return badRequest{http.StatusBadRequest, id.String() + " is not starting"}
	}
	out, leave, err := h.openEvents(w, r, who)
	if err != nil {
		return err
	}
	defer leave()
	(&stream{hub: h, out: out, id: id, language: language(r), sent: map[string]bool{}}).run(r.Context())
	return nil
}

// stream is one open progress stream.
type stream struct {
	hub      *Hub
	out      *events
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
	changed, stop := st.hub.cluster.Watch(st.id)
	defer stop()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	var served chan error     // answers whether the route is there; nil while that is not asked
	var late <-chan time.Time // when the route has taken too long; nil before the server answers
	for {
		s, err := st.hub.cluster.Get(ctx, st.id)
		if err == nil {
			if over := st.tell(s); over {
				return
			}
			if s.Phase == spawn.Answering && late == nil {
				late = time.After(st.hub.patience)
			}
			if s.Phase == spawn.Answering && served == nil {
				served = make(chan error, 1)
				go func(answer chan<- error) { answer <- st.hub.route(ctx, s) }(served)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-st.hub.Done:
			return
		case <-changed:
		case <-alive.C:
			if st.out.alive() != nil {
				return
			}
		case <-late:
			late = make(chan time.Time) // said once
			if st.event(progressEvent{Progress: percentRoute, Message: st.hub.web.Text(st.language, string(spawn.MsgRoute), nil)}) != nil {
				return
			}
		case err := <-served:
			served = nil
			if st.end(ctx, err) {
				return
			}
		}
	}
}

// tell sends the steps that were not sent yet; true means that the stream is over.
func (st *stream) tell(s spawn.Server) (over bool) {
	if s.UID != st.uid { // a new pod: its story starts again
		st.uid, st.sent = s.UID, map[string]bool{}
	}
	for _, step := range s.Steps {
		if st.sent[step.Key()] {
			continue
		}
		st.sent[step.Key()] = true
		text := st.hub.web.Text(st.language, string(step.Message), step.Data)
		if step.Next != "" {
			text += " " + st.hub.web.Text(st.language, string(step.Next), step.Data)
		}
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

// end sends the last event: the route is there, or the gateway refuses it. It sends none and
// returns false while the route does not come, and when the server has changed meanwhile.
func (st *stream) end(ctx context.Context, route error) bool {
	problem, refused := asProblem(route)
	if route != nil && !refused {
		return false
	}
	s, err := st.hub.cluster.Get(ctx, st.id)
	if err != nil || s.Phase != spawn.Answering || s.UID != st.uid {
		return false
	}
	last := progressEvent{Progress: 100, Ready: true, URL: st.hub.serverURL(s.ID)}
	message := spawn.MsgReady
	if refused {
		last, message = progressEvent{Progress: percentRoute, Failed: true}, problem.Message
	}
	last.Message = st.hub.web.Text(st.language, string(message), nil)
	_ = st.event(last) // over either way
	return true
}

func (st *stream) event(e progressEvent) error { return st.out.event(e) }
