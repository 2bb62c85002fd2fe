package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/origin"
)

const (
	// maxBody bounds forms and JSON bodies; ours have a few hundred bytes.
	maxBody = 64 << 10
	// maxServers bounds how many servers one person may have, the default one included.
	maxServers = 10
	// stopWait is how long a stop request waits to say that the server is gone.
	stopWait = 10 * time.Second
	// startWait bounds the calls that a start makes; the gateway waits for a minute.
	startWait = 45 * time.Second
	// routeWait is how long a page waits to learn that a running server is reachable.
	routeWait = 2 * time.Second
)

// Hub answers the requests. Fields must all be set, but for Site where all servers share the
// host of these pages.
type Hub struct {
	Cluster *kube.Cluster
	// Served waits until users can reach the pod of a server (see routestatus.Client).
	Served func(ctx context.Context, id server.ID, podUID string) error
	Web    *web.Renderer
	// Site says on which host a person's servers are.
	Site origin.Site
	Log  *slog.Logger
	// Done ends event streams when the service stops; browsers connect to another replica.
	Done <-chan struct{}
}

// handler is a request handler that knows its visitor. A returned error is answered,
// as a page or as JSON, by fail.
type handler func(w http.ResponseWriter, r *http.Request, v visitor) error

// Handler returns all pages and the REST paths.
func (h *Hub) Handler() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, fn := range h.pages() {
		mux.HandleFunc(pattern, h.guard(fn))
	}
	for _, e := range contract.EndpointsOf(contract.UpstreamHub) {
		mux.HandleFunc(e.Pattern(), h.guard(h.operations()[e.Operation]))
	}
	return mux
}

func (h *Hub) pages() map[string]handler {
	return map[string]handler{
		"GET /hub":                               h.root,
		"GET /hub/{$}":                           h.root,
		"GET /hub/home":                          h.home,
		"GET /hub/spawn":                         h.spawnForm,
		"GET /hub/spawn/{user}":                  h.spawnForm,
		"GET /hub/spawn/{user}/{server}":         h.spawnForm,
		"POST /hub/spawn":                        h.spawnPost,
		"POST /hub/spawn/{user}":                 h.spawnPost,
		"POST /hub/spawn/{user}/{server}":        h.spawnPost,
		"GET /hub/spawn-pending/{user}":          h.pending,
		"GET /hub/spawn-pending/{user}/{server}": h.pending,
		"POST /hub/stop/{user}":                  h.stopPost,
		"POST /hub/stop/{user}/{server}":         h.stopPost,
		"GET /hub/user-redirect/{path...}":       h.userRedirect,
		"/hub/user/{path...}":                    h.notRouted,

		"/": func(http.ResponseWriter, *http.Request, visitor) error { return errNotFound },
	}
}

// operations are the REST paths that contract.Endpoints gives to this service.
func (h *Hub) operations() map[string]handler {
	return map[string]handler{
		contract.OpVersion:  h.apiVersion,
		contract.OpSelf:     h.apiSelf,
		contract.OpUser:     h.apiUser,
		contract.OpStart:    h.apiStart,
		contract.OpStop:     h.apiStop,
		contract.OpProgress: h.apiProgress,
	}
}

// guard is in front of every handler: identity, XSRF, size.
func (h *Hub) guard(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := caller.Admit(w, r, maxBody)
		v := visitor{who}
		if err == nil {
			err = next(w, r, v)
		}
		if err != nil {
			h.fail(w, r, v, err)
		}
	}
}

var (
	errNotFound   = errors.New("no such page")
	errStuck      = errors.New("server runs but is not routed")
	errNotRunning = errors.New("server is not running")
)

// badRequest is a request that says something impossible; its text is for programs.
type badRequest struct {
	status int
	text   string
}

func (b badRequest) Error() string { return b.text }

// reply is how an error is told.
type reply struct {
	status      int
	title, text string // message ids
	data        map[string]string
	plain       string // the message in JSON
}

// explain maps an error to its reply.
func explain(err error) reply {
	var bad badRequest
	var problem *spawn.Problem
	switch {
	case errors.Is(err, caller.ErrAnonymous):
		return reply{http.StatusUnauthorized, "error.unauthorized", "error.unauthorized_text", nil, "log in first"}
	case errors.Is(err, errForeign):
		return reply{http.StatusForbidden, "error.forbidden", "error.forbidden_text", nil, err.Error()}
	case errors.Is(err, caller.ErrXSRF):
		return reply{http.StatusForbidden, "error.xsrf", "error.xsrf_text", nil, "_xsrf token missing or wrong, or cross-origin request"}
	case errors.Is(err, errNotFound):
		return reply{http.StatusNotFound, "error.not_found", "error.not_found_text", nil, err.Error()}
	case errors.Is(err, errStuck):
		return reply{http.StatusServiceUnavailable, "error.stuck", "error.stuck_text", nil, err.Error()}
	case errors.Is(err, errNotRunning):
		return reply{http.StatusFailedDependency, "error.not_running", "error.not_running_text", nil, err.Error()}
	case errors.As(err, &bad):
		return reply{bad.status, "error.bad_request", "error.bad_request_text", nil, bad.text}
	case errors.As(err, &problem):
		return reply{problemStatus(problem.Message), "pending.failed", string(problem.Message), problem.Data, ""}
	}
	return reply{http.StatusInternalServerError, "error.internal", "error.internal_text", nil, "internal error"}
}

func problemStatus(m spawn.Message) int {
	switch m {
	case spawn.MsgBusy:
		return http.StatusTooManyRequests
	case spawn.MsgTooMany:
		return http.StatusBadRequest
	case spawn.MsgQuota, spawn.MsgRefused:
		return http.StatusForbidden
	case spawn.MsgConflict:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// fail answers a request with what went wrong and what to do next. Faults of ours and
// refusals are logged; the access log has the rest.
func (h *Hub) fail(w http.ResponseWriter, r *http.Request, v visitor, err error) {
	a := explain(err)
	if a.status == http.StatusInternalServerError || errors.As(err, new(*spawn.Problem)) {
		h.Log.ErrorContext(r.Context(), "request failed", "status", a.status, "user", v.Name, "error", err)
	}
	if errors.Is(err, errForeign) || errors.Is(err, caller.ErrXSRF) {
		h.Log.InfoContext(r.Context(), "access refused", "audit", true, "user", telemetry.UserText(v.Name), "reason", err.Error(),
			"http_method", telemetry.UserText(r.Method), "path", telemetry.UserText(r.URL.EscapedPath()))
	}
	retryAfter(w, a.status)
	if isAPI(r) {
		if a.plain == "" {
			a.plain = h.Web.Text(language(r), a.text, a.data)
		}
		web.JSON(w, a.status, map[string]any{"status": a.status, "message": a.plain})
		return
	}
	h.Web.Page(w, r, a.status, web.Message{
		Status: a.status, Title: a.title, Text: a.text, Data: a.data,
		ActionURL: contract.PathHome, Action: "error.back",
		RequestID: telemetry.RequestID(r.Context()), User: v.Name,
	})
}

// retryAfter says in how many seconds a refused request may work.
func retryAfter(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "30")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "10")
	}
}

func isAPI(r *http.Request) bool {
	return r.URL.Path == contract.PathAPI || strings.HasPrefix(r.URL.Path, contract.PathAPI+"/")
}

func language(r *http.Request) string {
	return strings.Join(r.Header.Values("Accept-Language"), ",")
}

// target reads which server a path is about and checks that the visitor may start, stop and
// watch it.
func target(r *http.Request, v visitor) (server.ID, error) {
	id := server.ID{User: r.PathValue("user"), Name: r.PathValue("server")}
	if id.User == "" {
		id.User = v.Name
	}
	// Whose it is comes first: a stranger learns nothing about names.
	if err := v.may(access.Servers, access.Target{User: id.User, Server: id.Name}); err != nil {
		return server.ID{}, err
	}
	if err := id.Valid(); err != nil {
		return server.ID{}, badRequest{http.StatusBadRequest, err.Error()}
	}
	return id, nil
}

// targetServer is target with the server's present state.
func (h *Hub) targetServer(r *http.Request, v visitor) (server.ID, kube.Server, error) {
	id, err := target(r, v)
	if err != nil {
		return server.ID{}, kube.Server{}, err
	}
	s, err := h.Cluster.Get(r.Context(), id)
	return id, s, err
}

// start starts a server unless the person has too many.
func (h *Hub) start(ctx context.Context, id server.ID) error {
	others := 0
	for _, s := range h.Cluster.List(id.User) {
		if s.ID != id {
			others++
		}
	}
	if others >= maxServers {
		return &spawn.Problem{Message: spawn.MsgTooMany, Data: map[string]string{"Limit": strconv.Itoa(maxServers)}}
	}
	// A browser that goes away does not interrupt a start: half of it would be left for
	// the next one to finish.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
	defer cancel()
	return h.Cluster.Start(ctx, id)
}

// reachable reports whether users can open a server that answers.
func (h *Hub) reachable(ctx context.Context, s kube.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, routeWait)
	defer cancel()
	return s.Phase == spawn.Answering && h.Served(ctx, s.ID, s.UID) == nil
}
