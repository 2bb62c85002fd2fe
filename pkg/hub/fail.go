package hub

import (
	"errors"
	"net/http"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

var (
	errNotFound   = errors.New("no such page")
	errStuck      = errors.New("server runs but is not routed")
	errRefused    = errors.New("the gateway refuses the server's route")
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
	next        string // of a second sentence, "" for none
	data        map[string]string
	plain       string // the message in JSON
}

// explain maps an error to its reply.
func explain(err error) reply {
	var bad badRequest
	var problem *spawn.Problem
	switch {
	case errors.Is(err, caller.ErrAnonymous):
		return reply{http.StatusUnauthorized, "error.unauthorized", "error.unauthorized_text", "", nil, "log in first"}
	case errors.Is(err, errForeign):
		return reply{http.StatusForbidden, "error.forbidden", "error.forbidden_text", "", nil, err.Error()}
	case errors.Is(err, caller.ErrXSRF):
		return reply{http.StatusForbidden, "error.xsrf", "error.xsrf_text", "", nil, "_xsrf token missing or wrong, or cross-origin request"}
	case errors.Is(err, caller.ErrMethod):
		return reply{http.StatusMethodNotAllowed, "error.bad_request", "error.bad_request_text", "", nil, err.Error()}
	case errors.Is(err, errNotFound):
		return reply{http.StatusNotFound, "error.not_found", "error.not_found_text", "", nil, err.Error()}
	case errors.Is(err, errNobody):
		return reply{http.StatusNotFound, "error.nobody", "error.nobody_text", "", nil, err.Error()}
	case errors.Is(err, errStuck):
		return reply{http.StatusServiceUnavailable, "error.stuck", "error.stuck_text", "", nil, err.Error()}
	case errors.Is(err, errRefused):
		return reply{http.StatusServiceUnavailable, "error.stuck", string(spawn.MsgRouteRefused), "", nil, ""}
	case errors.Is(err, errNotRunning):
		return reply{http.StatusFailedDependency, "error.not_running", "error.not_running_text", "", nil, err.Error()}
	case errors.As(err, &bad):
		return reply{bad.status, "error.bad_request", "error.bad_request_text", "", nil, bad.text}
	case errors.As(err, &problem):
		return reply{problemStatus(problem.Message), "pending.failed", string(problem.Message), string(problem.Next), problem.Data, ""}
	}
	return reply{http.StatusInternalServerError, "error.internal", "error.internal_text", "", nil, "internal error"}
}

func problemStatus(m spawn.Message) int {
	switch m {
	case spawn.MsgBusy:
		return http.StatusTooManyRequests
	case spawn.MsgTooMany, spawn.MsgProfile, spawn.MsgChoice, spawn.MsgChoices:
		return http.StatusBadRequest
	case spawn.MsgQuota, spawn.MsgRefused, spawn.MsgNoProfile,
		spawn.MsgOverServers, spawn.MsgOverCPU, spawn.MsgOverMemory, spawn.MsgOverExtra, spawn.MsgOverStorage, spawn.MsgOverWeek, spawn.MsgOverMonth:
		return http.StatusForbidden
	case spawn.MsgConflict, spawn.MsgPublished:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// fail answers a request with what went wrong and what to do next. Faults of ours and
// refusals are logged; the access log has the rest.
func (h *Hub) fail(w http.ResponseWriter, r *http.Request, who caller.Caller, err error) {
	a := explain(err)
	if a.status == http.StatusInternalServerError || errors.As(err, new(*spawn.Problem)) {
		h.log.ErrorContext(r.Context(), "request failed", "status", a.status, "user", who.Name, "error", err)
	}
	if errors.Is(err, errForeign) || errors.Is(err, caller.ErrXSRF) {
		telemetry.Audit(r.Context(), h.log, telemetry.AccessRefused, "access refused", "user", telemetry.UserText(who.Name), "reason", err.Error(),
			"http_method", telemetry.UserText(r.Method), "path", telemetry.UserText(r.URL.EscapedPath()))
	}
	retryAfter(w, a.status)
	if isAPI(r) {
		if a.plain == "" {
			a.plain = h.web.Text(language(r), a.text, a.data)
			if a.next != "" {
				a.plain += " " + h.web.Text(language(r), a.next, a.data)
			}
		}
		web.JSON(w, a.status, map[string]any{"status": a.status, "message": a.plain})
		return
	}
	h.web.Page(w, r, a.status, web.Message{
		Status: a.status, Title: a.title, Text: a.text, Data: a.data,
		ActionURL: contract.PathHome, Action: "error.back",
		RequestID: telemetry.RequestID(r.Context()), User: who.Name,
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

func asProblem(err error) (*spawn.Problem, bool) {
	var p *spawn.Problem
	ok := errors.As(err, &p)
	return p, ok
}
