package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/caller"
)

// absent are operations of JupyterHub's API that have no counterpart here. A program that asks gets
// the reason instead of an answer that is made up; docs/limits.md says the same to people.
func (h *Hub) absent() map[string]caller.Handler {
	const groups = "groups are kept by the directory and the providers; the platform knows those of a user while that user asks"
	return map[string]caller.Handler{
		contract.OpGroups:   refuse(http.StatusNotFound, groups),
		contract.OpGroup:    refuse(http.StatusNotFound, groups),
		contract.OpProxy:    refuse(http.StatusNotFound, "the routing table is in Envoy and the xds-server; this service does not hold it"),
		contract.OpShutdown: refuse(http.StatusForbidden, "the platform is stopped with Kubernetes' or Helm's commands, by nobody through this API"),
	}
}

// refuse answers everybody with no, and administrators with the reason.
func refuse(status int, why string) caller.Handler {
	return func(_ http.ResponseWriter, _ *http.Request, who caller.Caller) error {
		if err := may(who, access.ReadHub, access.Target{}); err != nil {
			return err
		}
		return badRequest{status, why}
	}
}
