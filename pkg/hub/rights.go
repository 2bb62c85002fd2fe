package hub

import (
	"errors"
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

var errForeign = errors.New("not the caller's own server")

// may returns nil if the caller may do action to target.
func may(who caller.Caller, action access.Action, target access.Target) error {
	if access.May(who.User, action, target, who.Grants()) {
		return nil
	}
	return errForeign
}

// target reads which server a path is about and checks that the caller may start it.
func target(r *http.Request, who caller.Caller) (server.ID, error) {
	return targetOf(r, who, access.Servers)
}

// targetOf reads which server a path is about and checks that the caller may do action to it.
func targetOf(r *http.Request, who caller.Caller, action access.Action) (server.ID, error) {
	id := server.ID{User: r.PathValue("user"), Name: r.PathValue("server")}
	if id.User == "" {
		id.User = who.Name
	}
	// Whose it is comes first: a stranger learns nothing about names.
	if err := may(who, action, access.Target{User: id.User, Server: id.Name}); err != nil {
		return server.ID{}, err
	}
	if err := id.Valid(); err != nil {
		return server.ID{}, badRequest{http.StatusBadRequest, err.Error()}
	}
	return id, nil
}

// targetServer is target with the server's present state.
func (h *Hub) targetServer(r *http.Request, who caller.Caller) (server.ID, spawn.Server, error) {
	return h.targetServerOf(r, who, access.Servers)
}

// targetServerOf is targetOf with the server's present state.
func (h *Hub) targetServerOf(r *http.Request, who caller.Caller, action access.Action) (server.ID, spawn.Server, error) {
	id, err := targetOf(r, who, action)
	if err != nil {
		return server.ID{}, spawn.Server{}, err
	}
	s, err := h.cluster.Get(r.Context(), id)
	return id, s, err
}

// expectedServer is targetServer for what only a start leads to, to be watched. The start may have been another
// replica's, whose pod this one sees a moment later; no question to the API is needed for that.
func (h *Hub) expectedServer(r *http.Request, who caller.Caller) (server.ID, spawn.Server, error) {
	id, err := targetOf(r, who, access.ReadServers)
	if err != nil {
		return server.ID{}, spawn.Server{}, err
	}
	changed, stop := h.cluster.Watch(id)
	defer stop()
	late := time.NewTimer(seenWait)
	defer late.Stop()
	for {
		s, err := h.cluster.Get(r.Context(), id)
		if err != nil || s.UID != "" || s.Phase != spawn.Stopped {
			return id, s, err
		}
		select {
		case <-changed:
		case <-late.C:
			return id, s, nil
		case <-r.Context().Done():
			return id, s, nil
		}
	}
}

// errNobody is a request about a name that nobody has.
var errNobody = errors.New("nobody of that name has an account here")

// ownerOf is the user whose server a caller acts on. Nothing is known of one who has no account.
func ownerOf(id server.ID, who caller.Caller) access.User {
	owner, err := starter(id, who)
	if err != nil {
		return access.User{Name: id.User}
	}
	return owner
}

// starter is the user for whom a server is to be started, with groups. The name that authz
// vouches for must be the one in the path: another reading of the path gives nobody's groups away.
func starter(id server.ID, who caller.Caller) (access.User, error) {
	switch id.User {
	case who.Name:
		return who.User, nil
	case who.Subject.Name:
		return who.Subject, nil
	}
	return access.User{}, errNobody
}

func viewer(who caller.Caller) web.Viewer {
	return web.Viewer{Name: who.Name, DisplayName: who.DisplayName, Admin: who.Admin}
}
