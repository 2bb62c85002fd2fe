package hub

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tmaxmax/go-sse"

	"github.com/perijove/perijove/pkg/web/caller"
)

const (
	// keepAlive is how often a silent event stream says that it lives, as JupyterHub does;
	// proxies on the way close silent connections.
	keepAlive = 8 * time.Second
	// writeWait is how long a reader of a stream may take nothing: a browser that sleeps keeps its
	// connection and no place among its user's streams.
	writeWait = 10 * time.Second
	// reconnect is when a browser whose stream has ended opens the next one.
	reconnect = 2 * time.Second
)

// events is an open stream of server-sent events.
type events struct {
	session  *sse.Session
	control  *http.ResponseController
	patience time.Duration // writeWait
}

// openEvents begins the answer to a request of who. leave ends it, and must be called.
func (h *Hub) openEvents(w http.ResponseWriter, r *http.Request, who caller.Caller) (e *events, leave func(), err error) {
	free, ok := h.openStream(who.Name)
	if !ok {
		return nil, nil, badRequest{http.StatusTooManyRequests, "too many event streams are open"}
	}
	session, err := sse.Upgrade(w, r)
	if err != nil {
		free()
		return nil, nil, badRequest{http.StatusNotImplemented, "this connection cannot carry an event stream"}
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	e = &events{session: session, control: http.NewResponseController(w), patience: h.writeWait}
	return e, func() {
		_ = e.control.SetWriteDeadline(time.Time{}) // the connection may carry other requests
		free()
	}, nil
}

// openStream counts a user's streams; false when there are too many.
func (h *Hub) openStream(user string) (leave func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[user] >= maxStreams {
		return nil, false
	}
	h.streams[user]++
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.streams[user]--; h.streams[user] == 0 {
			delete(h.streams, user)
		}
	}, true
}

// begin tells the browser when to come back.
func (e *events) begin() error { return e.send(&sse.Message{Retry: reconnect}) }

// alive says that the stream lives.
func (e *events) alive() error {
	ping := &sse.Message{}
	ping.AppendComment("")
	return e.send(ping)
}

// beat is alive in a form that a page's script sees: it knows by it that the stream is not cut.
func (e *events) beat() error {
	m := &sse.Message{Type: sse.Type("beat")}
	m.AppendData("")
	return e.send(m)
}

// event sends a value as JSON.
func (e *events) event(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	m := &sse.Message{}
	m.AppendData(string(data))
	return e.send(m)
}

// send returns an error when the reader is gone, or takes nothing.
func (e *events) send(m *sse.Message) error {
	// The connections of some tests have no deadlines, and no sleeping readers.
	_ = e.control.SetWriteDeadline(time.Now().Add(e.patience))
	if err := e.session.Send(m); err != nil {
		return err
	}
	return e.session.Flush()
}
