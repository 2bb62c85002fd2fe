package login

import (
	"errors"
	"net/http"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// safe reports whether a login may lead to next: to a path on this host, or back to the
// user's host that sent the browser here.
func (p *Pages) safe(next string) bool {
	if _, ok := redirect.Safe(next); ok {
		return true
	}
	_, ok := handoff.Parse(p.Site, next)
	return ok
}

// handOff sends a browser with a session back to the host that wants to know who it is.
func (p *Pages) handOff(w http.ResponseWriter, r *http.Request, s session.Session, returnTo handoff.ReturnTo) {
	if !p.admitted(w, r, s, returnTo.Owner) {
		return
	}
	location, err := handoff.Answer(p.sessions, p.Site, returnTo, s, p.Now())
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the login cannot be handed off", "error", err)
		p.message(w, r, http.StatusInternalServerError, "error.internal", "error.internal_text", s.User)
		return
	}
	p.leave(w, r, s.User, location)
}

// handleCallback is the other end, on the user's host: it redeems the code for a pass.
func (p *Pages) handleCallback(w http.ResponseWriter, r *http.Request) {
	owner := r.PathValue("owner")
	if !p.Site.PerUser() || !p.Site.For(owner).Answers(r.Host) {
		p.message(w, r, http.StatusNotFound, "error.not_found", "error.not_found_text", access.User{})
		return
	}
	nonce, _ := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieHandOver)) // none redeems nothing
	s, path, err := p.redeemer.Redeem(r.URL.Query().Get("code"), owner, nonce, p.Now())
	if errors.Is(err, handoff.ErrSpent) && p.hasPass(r, owner) {
		// Another tab was faster.
		p.redirect(w, r, path)
		return
	}
	name, alive := s.User.Name, false
	if err == nil {
		s, alive = p.alive(s)
	}
	if !alive {
		// Not on to the page: it would come back here, for ever where cookies are refused.
		if !errors.Is(err, handoff.ErrForeign) { // else any client could fill the log
			p.audit(r, telemetry.LoginRefused, s.Method, name, "login refused", "reason", "the code is spent or another browser's", "owner", owner)
		}
		p.message(w, r, http.StatusBadRequest, "oauth.state", "oauth.state_text", access.User{})
		return
	}
	if !p.admitted(w, r, s, owner) || !p.givePass(w, r, s, owner) {
		return
	}
	w.Header().Add("Set-Cookie", p.jar().Delete(contract.CookieHandOver, server.ID{User: owner}.Prefix()))
	p.redirect(w, r, path)
}

// hasPass reports whether the browser has a pass for owner's servers already.
func (p *Pages) hasPass(r *http.Request, owner string) bool {
	token, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookiePass))
	if err != nil {
		return false
	}
	got, state := p.passes.Verify(token, p.Now())
	return state != pass.Bad && got.Owner == owner
}

// leave leads to another host. After a form it takes a page that moves on by itself:
// browsers hold redirects, too, against the policy that our forms lead to us
// (form-action).
func (p *Pages) leave(w http.ResponseWriter, r *http.Request, u access.User, target string) {
	if r.Method == http.MethodGet {
		p.redirect(w, r, target)
		return
	}
	p.web.Leave(w, r, u.Name, target)
}
