package hub

import (
	"net/http"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
)

// isPublished reports whether users who go to the address of a server reach a pod that the
// platform did not start.
func (h *Hub) isPublished(id server.ID) bool {
	return slices.ContainsFunc(h.cluster.Published(id.User), func(s server.Server) bool { return s.ID == id })
}

// startable returns a *spawn.Problem for a server whose address a published pod has: it would
// never be reached.
func (h *Hub) startable(id server.ID) error {
	if h.isPublished(id) {
		return &spawn.Problem{Message: spawn.MsgPublished}
	}
	return nil
}

// stoppable refuses to stop what the platform did not start: to say that it is gone would be a lie.
func (h *Hub) stoppable(s spawn.Server) error {
	if s.UID == "" && h.isPublished(s.ID) {
		return badRequest{http.StatusConflict, s.ID.String() + " is published; the platform did not start it and does not stop it"}
	}
	return nil
}

// withPublished adds the lines of published servers. One takes the place of a server of the same
// name that only could be started; one that runs beside it cannot be opened, and can be stopped.
func (h *Hub) withPublished(lines []web.Server, published []server.Server) []web.Server {
	for _, s := range published {
		line := web.Server{Name: s.ID.Name, Title: s.ID.Name, State: web.StateReady, Published: true, Started: s.Created, OpenURL: h.serverURL(s.ID)}
		i := slices.IndexFunc(lines, func(l web.Server) bool { return l.Name == s.ID.Name })
		if i >= 0 && lines[i].State == web.StateStopped {
			lines[i] = line
			continue
		}
		if i >= 0 {
			lines[i].OpenURL = ""
		}
		lines = append(lines, line)
	}
	return lines
}

// addPublished puts published servers into JupyterHub's user model, each in the place of a server
// of the same name: it is what its URL leads to.
func (h *Hub) addPublished(v view, u *apiUser) {
	for _, s := range h.cluster.Published(u.Name) {
		m := h.published(v, s)
		u.Servers[s.ID.Name] = m
		if s.ID.Name == "" {
			u.Server, u.Pending = &m.URL, nil
		}
	}
}

// published is a published server in JupyterHub's model.
func (h *Hub) published(v view, s server.Server) apiServer {
	m := apiServer{
		Ready: true, Published: true, Started: &s.Created, Notices: []apiNotice{},
		LastActivity: new(time.Now().UTC()), // nobody asks it
	}
	h.address(v, s.ID, &m)
	return m
}
