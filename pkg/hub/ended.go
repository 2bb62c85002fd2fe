package hub

import (
	"net/http"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// ended says why a server came to its end by itself, with the button that starts it again.
func (h *Hub) ended(w http.ResponseWriter, r *http.Request, who caller.Caller, s spawn.Server, next string) {
	why := s.Notices[len(s.Notices)-1]
	page := web.Pending{
		Viewer: viewer(who), XSRF: who.XSRF(), Owner: s.ID.User, Server: s.ID.Name, Failed: true, Ended: true,
		Now: web.Line{ID: string(why.Message), Data: why.Data}, RetryAction: spawnURL(s.ID), Next: next,
	}
	h.offerChoice(&page, s.ID, who, next)
	h.web.Page(w, r, http.StatusOK, page)
}
