package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/web/caller"
)

// fieldPod says which run of a server a page shows, by its pod's UID: two clicks are one restart.
const fieldPod = "pod"

// restartPost stops a server and starts it again as it was.
func (h *Hub) restartPost(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	if err := h.stoppable(s); err != nil {
		return err
	}
	if err := h.startable(id); err != nil {
		return err
	}
	owner, err := starter(id, who)
	if err != nil {
		return err
	}
	h.auditOther(r.Context(), telemetry.ServerRestarted, "server restarted for its user", id)
	if err := h.cluster.Restart(r.Context(), spawn.Request{ID: id, Owner: owner}, r.PostFormValue(fieldPod)); err != nil {
		return err
	}
	http.Redirect(w, r, back(r, contract.PathHome), http.StatusSeeOther)
	return nil
}
