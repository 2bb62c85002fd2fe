package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// absent are operations of JupyterHub's API that have no counterpart here. A program that asks gets
// the reason instead of an answer that is made up; docs/limits.md says the same to people.
func (h *Hub) absent() map[string]caller.Handler {
	const users = "users are those of the directory and the providers, and come with their first login"
	return map[string]caller.Handler{
		contract.OpAddUsers:   refuse(access.AdminUsers, users),
		contract.OpAddUser:    refuse(access.AdminUsers, users),
		contract.OpChangeUser: refuse(access.AdminUsers, "a user's name and rights are those of the directory or the provider, and are changed there"),
		contract.OpMoveProxy:  refuse(access.Routes, "Envoy and the xds-server find each other by their own configuration"),
		contract.OpShutdown:   refuse(access.ReadHub, "the platform is stopped with Kubernetes' or Helm's commands, by nobody through this API"),
	}
}

// refuse answers everybody with no, and those who may do action with the reason.
func refuse(action access.Action, why string) caller.Handler {
	return func(_ http.ResponseWriter, r *http.Request, who caller.Caller) error {
		if err := may(who, action, access.Target{User: r.PathValue("user"), WholeUser: true}); err != nil {
			return err
		}
		return badRequest{http.StatusForbidden, why}
	}
}

// apiServices lists JupyterHub's services: programs beside the hub that it starts or knows a token of.
// There are none here, as in a JupyterHub without any.
func (h *Hub) apiServices(w http.ResponseWriter, _ *http.Request, who caller.Caller) error {
	if err := may(who, access.ReadHub, access.Target{}); err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, struct{}{})
	return nil
}
