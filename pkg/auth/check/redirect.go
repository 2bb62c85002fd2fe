package check

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// leadsToLogout is about JupyterLab's menu. The path decides here, as nowhere else: the
// answer is the same redirect for every client and lets none in.
func leadsToLogout(req Request) bool {
	path, _, _ := strings.Cut(req.Path, "?")
	base, ok := strings.CutSuffix(path, contract.SegmentLogout)
	return ok && req.Logout && slices.Contains(pass.Paths(req.Owner), base)
}

// addSlash returns where /user/alice leads: to /user/alice/, with the query. Relative
// links of the page would otherwise miss the server.
func addSlash(req Request) (string, bool) {
	path, query, hasQuery := strings.Cut(req.Path, "?")
	if path+"/" != req.Prefix || (req.Method != http.MethodGet && req.Method != http.MethodHead) || req.Upgrade != "" {
		return "", false
	}
	if hasQuery {
		return req.Prefix + "?" + query, true
	}
	return req.Prefix, true
}

// login sends a page to the login and back. Anything else gets 401: a script that follows a
// redirect to a login form gets HTML where it wants JSON, and JupyterLab breaks on it.
func (d *Decider) login(req Request) Verdict {
	v := refuse(req, ReasonNoSession, http.StatusUnauthorized)
	if !v.Page || (req.Method != http.MethodGet && req.Method != http.MethodHead) {
		return v
	}
	v.Status, v.Page, v.Location = http.StatusFound, false, contract.PathLogin
	if d.site.PerUser() && req.Kind == contract.KindServer {
		return d.askHub(req, v)
	}
	if next, ok := redirect.Safe(req.Path); ok {
		v.Location += "?next=" + url.QueryEscape(next)
	}
	return v
}

// askHub sends a page on a user's host to the hub's login, from where it comes back with
// a code for this browser (package handoff).
func (d *Decider) askHub(req Request, v Verdict) Verdict {
	nonce, err := cookies.One(req.Cookie, d.jar().Name(contract.CookieHandOver))
	if err != nil || len(nonce) != len(session.RandomID()) {
		nonce = session.RandomID() // else another tab's is kept, and both come back
		v.SetCookies = []string{d.jar().Set(contract.CookieHandOver, nonce, server.ID{User: req.Owner}.Prefix())}
	}
	returnTo := handoff.NewReturnTo(req.Owner, req.Path, nonce)
	v.Location = d.site.HubBaseURL() + contract.PathLogin + "?next=" + url.QueryEscape(returnTo.URL(d.site))
	return v
}
