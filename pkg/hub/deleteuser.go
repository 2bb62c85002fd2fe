package hub

import (
	"context"
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// fieldHomes is the box of the form, and the member of the REST body, that deletes files.
const fieldHomes = "remove_homes"

// leaver reads which user a request is about, whom the caller may delete. Nobody deletes
// themselves, as in JupyterHub: an administrator would lock out the last one.
func leaver(r *http.Request, who caller.Caller) (string, error) {
	user := r.PathValue("user")
	if err := may(who, access.DeleteUsers, access.Target{User: user, WholeUser: true}); err != nil {
		return "", err
	}
	if err := server.ValidUser(user); err != nil {
		return "", badRequest{http.StatusBadRequest, err.Error()}
	}
	if user == who.Name {
		return "", badRequest{http.StatusBadRequest, "nobody deletes their own account here"}
	}
	return user, nil
}

// deleteUserForm asks before a user is deleted. It deletes nothing (S9).
func (h *Hub) deleteUserForm(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	user, err := leaver(r, who)
	if err != nil {
		return err
	}
	page := web.DeleteUser{Viewer: viewer(who), XSRF: who.XSRF(), User: user, Action: deleteUserURL(user)}
	for _, s := range h.cluster.List(user) {
		page.Servers = append(page.Servers, h.serverLine(s, nil))
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

func (h *Hub) deleteUserPost(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	user, err := leaver(r, who)
	if err != nil {
		return err
	}
	homes := r.PostFormValue(fieldHomes) != ""
	if err := h.deleteUser(r.Context(), who, user, homes); err != nil {
		return err
	}
	text := "delete_user.done_text"
	if homes {
		text = "delete_user.done_homes"
	}
	h.web.Page(w, r, http.StatusOK, web.Message{
		Title: "delete_user.done", Text: text, Data: map[string]string{"User": user}, ActionURL: contract.PathHub, Action: "error.back", User: who.Name,
	})
	return nil
}

// apiDeleteUser is JupyterHub's DELETE /users/{name}: 204. Home volumes are deleted only by a
// body {"remove_homes": true}.
func (h *Hub) apiDeleteUser(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	user, err := leaver(r, who)
	if err != nil {
		return err
	}
	var what struct {
		RemoveHomes bool `json:"remove_homes"`
	}
	if err := decode(r, &what, `{"remove_homes": true}`); err != nil {
		return err
	}
	if err := h.deleteUser(r.Context(), who, user, what.RemoveHomes); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// deleteUser goes on when the browser goes away: half of it would be left.
func (h *Hub) deleteUser(ctx context.Context, who caller.Caller, user string, homes bool) error {
	telemetry.Audit(ctx, h.log, telemetry.UserDeleted, "user deleted", "user", telemetry.UserText(user), "by", telemetry.UserText(who.Name), "homes", homes)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
	defer cancel()
	return h.cluster.DeleteUser(ctx, user, homes)
}
