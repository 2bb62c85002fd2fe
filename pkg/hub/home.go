package hub

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

func (h *Hub) home(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	page, err := h.homePage(r.Context(), who)
	if err == nil {
		h.web.Page(w, r, http.StatusOK, page)
	}
	return err
}

func (h *Hub) homePage(ctx context.Context, who caller.Caller) (web.Home, error) {
	own := server.ID{User: who.Name}
	first, err := h.cluster.Get(ctx, own)
	if err != nil {
		return web.Home{}, err
	}
	servers := []spawn.Server{first}
	for _, s := range h.cluster.List(who.Name) {
		if s.ID != own {
			servers = append(servers, s)
		}
	}
	catalog := h.cluster.Profiles(who.User)
	page := web.Home{
		Viewer: viewer(who), XSRF: who.XSRF(), Servers: h.lines(ctx, servers, catalog), LiveURL: pathLive, Usage: usage(h.cluster.Usage(who.User)),
		Temporary: h.temporary(who.User), Choose: choosable(catalog), NewURL: pathNewServer,
	}
	if len(catalog) > 1 {
		page.Profiles = forms(catalog, spawn.Options{})
	}
	page.Servers = h.withPublished(page.Servers, h.cluster.Published(who.Name))
	return page, nil
}

func (h *Hub) serverLine(s spawn.Server, catalog spawn.Catalog) web.Server {
	line := web.Server{
		Name: s.ID.Name, Title: cmp.Or(s.DisplayName, s.ID.Name), State: stateOf(s), OpenURL: h.serverURL(s.ID),
		PendingURL: pendingURL(s.ID), SpawnURL: spawnURL(s.ID), StopURL: stopURL(s.ID), Pod: s.UID,
	}
	if i := slices.IndexFunc(catalog, func(p spawn.Profile) bool { return p.Slug == cmp.Or(s.Profile, s.Options.Profile) }); i >= 0 {
		line.Profile = catalog[i].DisplayName
	}
	if s.Kept {
		line.DeleteURL = deleteURL(s.ID)
	}
	if s.UID != "" && line.State != web.StateStopped {
		line.LogURL = logURL(s.ID)
	}
	if s.Phase == spawn.Answering {
		line.Started, line.Ends, line.Used, line.Busy = s.Created, s.Ends, s.LastActivity, s.Busy
		line.RestartURL, line.Warning = restartURL(s.ID), warned(s, time.Now())
	}
	for _, n := range s.Notices {
		line.Notices = append(line.Notices, web.Notice{Line: web.Line{ID: string(n.Message), Data: n.Data}, At: n.At, Expected: n.Expected})
	}
	return line
}

func stateOf(s spawn.Server) web.ServerState {
	switch {
	case s.Now().Message == spawn.MsgRestarting:
		return web.StateRestarting
	case s.Phase == spawn.Answering:
		return web.StateReady
	}
	return web.ServerState(s.Phase) // the others have the same names
}
