package login

import (
	"net/http"
	"strings"

	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
)

// showLogout logs out at once when the person asked for it (our own menu, JupyterLab's,
// the address bar). Anything else - another site's link, an image, a prefetch, a browser
// that does not say - gets a page with a button, since a GET must not be a weapon (S9).
func (p *Pages) showLogout(w http.ResponseWriter, r *http.Request) {
	sessions := p.live(r)
	switch {
	case len(sessions) == 0:
		p.nobody(w, r)
	case askedFor(r):
		p.end(w, r, sessions)
	default:
		p.web.Page(w, r, http.StatusOK, web.Logout{XSRF: p.sessions.XSRF(sessions[0])})
	}
}

// askedFor reads the browser's own word on where a navigation came from (Fetch Metadata).
func askedFor(r *http.Request) bool {
	h := r.Header
	if strings.Contains(h.Get("Sec-Purpose")+h.Get("Purpose"), "prefetch") || h.Get("Sec-Fetch-Dest") != "document" || h.Get("Sec-Fetch-Mode") != "navigate" {
		return false
	}
	site := h.Get("Sec-Fetch-Site")
	return site == "same-origin" || site == "none"
}

func (p *Pages) doLogout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.message(w, r, http.StatusBadRequest, "error.bad_request", "error.bad_request_text", access.User{})
		return
	}
	sessions := p.live(r)
	if len(sessions) == 0 {
		p.nobody(w, r)
		return
	}
	if p.origin.Check(r) != nil || !p.sessions.CheckXSRF(sessions[0], r.PostForm.Get(contract.XSRFName)) {
		p.audit(r, telemetry.LogoutRefused, sessions[0].Method, sessions[0].User.Name, "logout refused", "reason", "the form is not ours")
		p.message(w, r, http.StatusForbidden, "error.xsrf", "error.xsrf_text", sessions[0].User)
		return
	}
	p.end(w, r, sessions)
}

// nobody answers a browser that is not logged in. It sends no deletions: a request from another
// site carries no cookie of ours either and must not wipe what its user stored here.
func (p *Pages) nobody(w http.ResponseWriter, r *http.Request) {
	p.web.Page(w, r, http.StatusOK, web.Logout{Done: true})
}

// end revokes the sessions and takes the cookies back. Passes for other people's servers
// stay in the browser, worthless: their session is revoked.
func (p *Pages) end(w http.ResponseWriter, r *http.Request, sessions []session.Session) {
	h := w.Header()
	next := p.providerLogout(r, sessions)
	h.Add("Set-Cookie", p.jar().Delete(contract.CookieSession, contract.PathHub))
	for _, s := range sessions {
		p.revoke(r.Context(), s)
		p.audit(r, telemetry.SessionRevoked, s.Method, s.User.Name, "logout")
		for _, c := range pass.DeleteCookies(p.jar(), s.User.Name) {
			h.Add("Set-Cookie", c)
		}
	}
	// Ends service workers that a notebook's page may have planted for the next person
	// (S7). Not "cookies": that would log people out of every site of this domain.
	h.Set("Clear-Site-Data", `"storage"`)
	if next != nil {
		// Not a redirect: after a form it would need a policy that lets forms lead to
		// the provider (form-action).
		h.Set("Refresh", "0; url="+next.URL)
	}
	p.web.Page(w, r, http.StatusOK, web.Logout{Done: true, Next: next})
}
