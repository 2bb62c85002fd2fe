package hub

import (
	"net/http"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// apiWarning is one spawn.Warning in the caller's language.
type apiWarning struct {
	ID   string    `json:"id"`
	Text string    `json:"text"`
	Time time.Time `json:"time"`
	// Keep is what a button says that keeps the server running; "" where nothing does.
	Keep string `json:"keep"`
}

func keepURL(id server.ID) string { return pathOf("/hub/keep", id) }

// keepPost lets a server go on that would be stopped for being idle. It counts as use at this moment.
func (h *Hub) keepPost(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	if s.Phase != spawn.Answering {
		return errNotRunning
	}
	if ok, err := h.cluster.Keep(r.Context(), id); err != nil {
		return err
	} else if !ok {
		return errNotRunning
	}
	http.Redirect(w, r, contract.PathHome, http.StatusSeeOther)
	return nil
}

// warned is what the home page warns of.
func warned(s spawn.Server, now time.Time) *web.Warning {
	w := s.Warning(now)
	if w == nil {
		return nil
	}
	out := &web.Warning{Line: web.Line{ID: string(w.Message), Data: w.Data}, At: w.At}
	if w.Keeps {
		out.KeepURL = keepURL(s.ID)
	}
	return out
}

// apiWarned is warned for programs.
func (h *Hub) apiWarned(s spawn.Server, language string) *apiWarning {
	w := s.Warning(time.Now())
	if w == nil {
		return nil
	}
	out := &apiWarning{ID: string(w.Message), Text: h.web.Text(language, string(w.Message), w.Data), Time: w.At.UTC()}
	if w.Keeps {
		out.Keep = h.web.Text(language, "home.keep", nil)
	}
	return out
}
