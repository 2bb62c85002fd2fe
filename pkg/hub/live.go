package hub

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// pathLive is the event stream of the home page.
const pathLive = contract.PathHome + "/live"

const (
	// liveFor is how long a stream of the home page lasts. The browser opens the next one, and
	// authz judges anew: a session that has ended sees nothing more. Envoy ends pages after a
	// minute.
	liveFor = 50 * time.Second
	// livePause is the least time between two looks: a start has some twenty changes, and each look
	// renders all servers.
	livePause = 300 * time.Millisecond
)

// liveEvent is what has changed on a home page; the first one of a stream has all of it.
type liveEvent struct {
	// Order are the keys of all servers as the page lists them.
	Order []string `json:"order"`
	// Changed are the servers that have changed, as HTML.
	Changed map[string]string `json:"changed,omitempty"`
	// Usage is what quotas limit, as HTML; null for no change.
	Usage *string `json:"usage,omitempty"`
}

// live streams what changes on the caller's home page.
func (h *Hub) live(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	out, leave, err := h.openEvents(w, r, who)
	if err != nil {
		return err
	}
	defer leave()
	changed, stop := h.cluster.WatchUser(who.Name)
	defer stop()
	ctx, cancel := context.WithTimeout(r.Context(), h.liveFor)
	defer cancel()
	// No change tells of what servers take, nor of pods that the platform did not start.
	look := time.NewTicker(keepAlive)
	defer look.Stop()
	if out.begin() != nil {
		return nil //nolint:nilerr // the browser is gone
	}
	var sent web.HomeParts
	for {
		if sent, err = h.tellHome(ctx, out, who, language(r), sent); err != nil {
			return nil //nolint:nilerr // the browser is gone, or comes back and reads why from a page
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.Done:
			return nil
		case <-changed:
			select {
			case <-time.After(h.livePause):
			case <-ctx.Done():
			}
		case <-look.C:
			if out.beat() != nil {
				return nil //nolint:nilerr // the browser is gone
			}
		}
	}
}

// tellHome sends what is new since sent was, and returns what the browser has by then.
func (h *Hub) tellHome(ctx context.Context, out *events, who caller.Caller, language string, sent web.HomeParts) (web.HomeParts, error) {
	page, err := h.homePage(ctx, who)
	if err != nil {
		return sent, err
	}
	now, err := h.web.HomeParts(language, page)
	if err != nil {
		return sent, err
	}
	e := liveEvent{Order: now.Keys, Changed: map[string]string{}}
	for key, html := range now.Servers {
		if sent.Servers[key] != html {
			e.Changed[key] = html
		}
	}
	if sent.Servers == nil || sent.Usage != now.Usage {
		e.Usage = &now.Usage
	}
	if len(e.Changed) == 0 && e.Usage == nil && slices.Equal(sent.Keys, now.Keys) {
		return now, nil
	}
	return now, out.event(e)
}
