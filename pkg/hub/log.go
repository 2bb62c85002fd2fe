package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// logPage shows the end of what a server wrote, and what the cluster said of it. It is for those who
// may stop the server: who only may enter it does not see what it tells of its owner.
func (h *Hub) logPage(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	page := web.Log{
		Viewer: viewer(who), Owner: id.User, Server: id.Name, Display: s.DisplayName, State: stateOf(s), Again: logURL(id), Steps: steps(s),
	}
	page.Now, page.Before, page.Unknown = h.tail(r, s)
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

// tail is the end of a server's log. A node that does not give it takes nothing else from a page.
func (h *Hub) tail(r *http.Request, s spawn.Server) (now, before string, unknown bool) {
	if s.UID == "" {
		return "", "", false
	}
	log, err := h.cluster.Log(r.Context(), s.ID)
	if err != nil {
		h.log.WarnContext(r.Context(), "a server's log cannot be read", "user", s.ID.User, "server", s.ID.Name, "error", err)
		return "", "", true
	}
	h.auditOther(r.Context(), telemetry.ServerLogRead, "log of a server read", s.ID)
	return log.Now, log.Before, false
}

// steps are what happened to a server, but not why it failed: that stands above them.
func steps(s spawn.Server) (lines []web.Line) {
	for _, step := range s.Steps {
		if !step.Failed {
			lines = append(lines, line(step))
		}
	}
	return lines
}
