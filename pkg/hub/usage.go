package hub

import (
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// exact is the largest number up to which browsers count exactly (IEEE 754).
const exact = int64(1) << 53

// usage turns what a user has of limited resources into the page's form.
func usage(all []spawn.Usage) []web.Usage {
	var out []web.Usage
	for _, u := range all {
		used, most := u.Words()
		one := web.Usage{
			Resource: string(u.Resource), Data: map[string]string{"Used": used, "Most": most, "Rule": u.Rule},
			Used: min(u.Used, u.Most), Most: u.Most, Shared: u.Shared,
		}
		if u.Known() {
			one.Resource = "resource." + one.Resource
		}
		if one.Most == 0 { // a meter needs a scale
			one.Most, one.Used = 1, min(1, u.Used)
		}
		// A browser's numbers hold no more.
		if one.Most > exact {
			one.Used, one.Most = int64(math.Round(100*float64(one.Used)/float64(one.Most))), 100
		}
		out = append(out, one)
	}
	return out
}

// pathNewServer turns what a user calls a server into the address of that server's form.
const pathNewServer = contract.PathHub + "new-server"

// fieldDisplay carries what a user calls a server to the form and from it.
const fieldDisplay = "display_name"

// newServer leads to the form of one more server. It starts nothing (S9).
func (h *Hub) newServer(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	display := strings.TrimSpace(r.URL.Query().Get("name"))
	page, err := h.homePage(r.Context(), who)
	if err != nil {
		return err
	}
	names := map[string]bool{"": true}
	for _, s := range page.Servers {
		names[s.Name] = true
		if s.Title == display {
			page.Refused = "home.taken"
		}
	}
	if server.ValidDisplay(display) != nil {
		page.Refused = "home.bad_name"
	}
	if page.Refused != "" {
		page.NewName = display
		h.web.Page(w, r, http.StatusBadRequest, page)
		return nil
	}
	id := server.ID{User: who.Name, Name: server.NameOf(display, func(name string) bool { return names[name] })}
	query := url.Values{}
	if display != id.Name {
		query.Set(fieldDisplay, display)
	}
	if profile := r.URL.Query().Get(fieldProfile); profile != "" {
		query.Set(fieldProfile, profile)
	}
	to := spawnURL(id)
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// deleteServer drops the name of a server and stops what runs under it. Its home stays.
func (h *Hub) deleteServer(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, err := target(r, who)
	if err != nil {
		return err
	}
	if _, err := h.remove(r.Context(), id); err != nil {
		return err
	}
	http.Redirect(w, r, back(r, contract.PathHome), http.StatusSeeOther)
	return nil
}
