package check

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// Reason names what a verdict rests on: a label for metrics and the audit log.
type Reason string

// Reasons.
const (
	ReasonAllowed     Reason = "allowed"
	ReasonNoSession   Reason = "no_session"
	ReasonForbidden   Reason = "forbidden"
	ReasonCrossOrigin Reason = "cross_origin"
	ReasonDuplicate   Reason = "duplicate_cookie"
	ReasonMalformed   Reason = "malformed"
	ReasonLogout      Reason = "logout"
	ReasonSlash       Reason = "missing_slash"
	ReasonBadToken    Reason = "bad_token"
	ReasonScope       Reason = "scope"
	ReasonStale       Reason = "stale_revocations"
)

// Header is one header to set.
type Header struct{ Name, Value string }

// Verdict is the decision about one request. The zero Verdict denies.
type Verdict struct {
	Allow  bool
	Reason Reason
	// Status is the HTTP status of a refusal or redirect.
	Status int
	// Location is where a redirect leads; "" for a refusal.
	Location string
	// Page is true when a person looks at the refusal: HTML instead of JSON.
	Page bool
	// User is who asked, as far as known.
	User access.User
	// Set and Remove change the request on its way to the upstream.
	Set    []Header
	Remove []string
	// SetCookies are Set-Cookie values for the browser.
	SetCookies []string
}

// Decider holds what decisions rest on.
type Decider struct {
	Sessions *session.Ring
	// Passes signs fresh passes and Seen judges those that come in: a Cache over the
	// same ring.
	Passes *pass.Ring
	Seen   *pass.Cache
	// Standing knows which sessions and tokens still stand.
	Standing Standing
	// API says which scope a path of the REST API needs.
	API *tokens.Rules
	// Site is our own scheme and hosts: what an Origin header of our own pages says, and
	// whether cookies are Secure.
	Site origin.Site
	// PassTTL is how long somebody may go on after a revocation (pass.New); 0 for not at all.
	PassTTL time.Duration
}

// Standing answers from memory (*liveness.Keeper).
type Standing interface {
	// Ended reports whether a session is over before its time.
	Ended(id, user string, since time.Time) bool
	// Current is user as the directory described them last.
	Current(user access.User) access.User
	// Token returns the owner of a living API token, and the token.
	Token(token string) (owner access.User, t account.Token, ok bool)
	// Seen and UsedToken note what was let in.
	Seen(use liveness.Use)
	UsedToken(owner string, t account.Token)
	// Stale reports whether revocations may be unknown; Refuse that nobody is let in then.
	Stale() bool
	Refuse() bool
}

// Decide judges one request at now.
func (d *Decider) Decide(req Request, now time.Time) Verdict {
	// Envoy answers our hosts only; should that ever be configured away, a page that
	// rebinds its own name to our address ends here (H9).
	site := d.site(req)
	if !site.Answers(req.Host) {
		return refuse(req, ReasonMalformed, http.StatusForbidden)
	}
	if d.unsure(req) {
		return refuse(req, ReasonStale, http.StatusServiceUnavailable)
	}
	if leadsToLogout(req) {
		return Verdict{Reason: ReasonLogout, Status: http.StatusFound, Location: d.Site.HubBaseURL() + contract.PathLogout}
	}
	token, byToken := ownToken(req)
	switch req.Kind {
	case contract.KindServer:
		if byToken {
			return d.serverByToken(req, token)
		}
		return d.server(req, now)
	case contract.KindHub:
		if byToken {
			return d.hubByToken(req, token)
		}
		return d.hub(req, now)
	}
	return refuse(req, ReasonMalformed, http.StatusForbidden)
}

// leadsToLogout is about JupyterLab's menu. The path decides here, as nowhere else: the
// answer is the same redirect for everybody and lets nobody in.
func leadsToLogout(req Request) bool {
	path, _, _ := strings.Cut(req.Path, "?")
	base, ok := strings.CutSuffix(path, contract.SegmentLogout)
	return ok && req.Logout && slices.Contains(pass.Paths(req.Owner), base)
}

// hub lets people with a session reach the platform's own pages and API.
func (d *Decider) hub(req Request, now time.Time) Verdict {
	s, err := d.session(req, now)
	if err != nil {
		return d.login(req)
	}
	if d.crossOrigin(req) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(s.User)
	}
	if !access.May(s.User, access.Pages, access.Target{}, access.BySession()) {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(s.User)
	}
	d.seen(req, s)
	v := Verdict{Allow: true, Reason: ReasonAllowed, Status: http.StatusOK, User: s.User, Remove: []string{"cookie"}}
	v.identify(s.User)
	v.Set = append(v.Set, Header{contract.HeaderXSRF, d.Sessions.XSRF(s)}, Header{contract.HeaderSession, s.ID})
	if s.User.Admin {
		v.Set = append(v.Set, Header{contract.HeaderAdmin, "true"})
	} else {
		v.Remove = append(v.Remove, contract.HeaderAdmin)
	}
	return v
}

// server lets the right people reach one user's server.
func (d *Decider) server(req Request, now time.Time) Verdict {
	if req.Owner == "" || !strings.HasPrefix(req.Prefix, contract.PathUser) || !strings.HasSuffix(req.Prefix, "/") {
		return refuse(req, ReasonMalformed, http.StatusForbidden)
	}
	p, renew, err := d.visitor(req, now)
	switch {
	case errors.Is(err, cookies.ErrDuplicate):
		// Not to the login: it would come back with the same two cookies, for ever.
		return refuse(req, ReasonDuplicate, http.StatusBadRequest)
	case err != nil:
		return d.login(req)
	}
	if !access.May(p.Visitor, access.EnterServers, target(req), access.BySession()) {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(p.Visitor)
	}
	if d.crossOrigin(req) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(p.Visitor)
	}
	d.seen(req, session.Session{User: p.Visitor, ID: p.SessionID, Since: p.Since, Expires: p.SessionExpires})
	v := Verdict{Allow: true, Reason: ReasonAllowed, Status: http.StatusOK, User: p.Visitor}
	if renew {
		token, err := d.Passes.Sign(p.Renew(now, d.PassTTL))
		if err != nil {
			return refuse(req, ReasonMalformed, http.StatusForbidden).by(p.Visitor)
		}
		v.SetCookies = pass.SetCookies(d.jar(), token, req.Owner)
	}
	if location, ok := addSlash(req); ok {
		v.Allow, v.Reason, v.Status, v.Location = false, ReasonSlash, http.StatusFound, location
		return v
	}
	v.Set = identityHeaders(p.Visitor)
	return v
}

// visitor finds out who asks for a server: by the session if a client sends it here
// (browsers do not, its path is /hub/), else by the pass. renew says that the browser
// should get a fresh pass.
func (d *Decider) visitor(req Request, now time.Time) (p pass.Pass, renew bool, err error) {
	s, err := d.session(req, now)
	if err == nil {
		return pass.New(s, req.Owner, now, d.PassTTL), true, nil
	}
	if errors.Is(err, cookies.ErrDuplicate) {
		return pass.Pass{}, false, err
	}
	token, err := cookies.One(req.Cookie, d.jar().Name(contract.CookiePass))
	if err != nil {
		return pass.Pass{}, false, err
	}
	p, state := d.Seen.Verify(token, now)
	if state == pass.Bad || p.Owner != req.Owner || d.Standing.Ended(p.SessionID, p.Visitor.Name, p.Since) {
		return pass.Pass{}, false, session.ErrInvalid
	}
	p.Visitor = d.Standing.Current(p.Visitor)
	return p, state == pass.Expired, nil
}

// session returns the live session in the request's one session cookie.
func (d *Decider) session(req Request, now time.Time) (session.Session, error) {
	value, err := cookies.One(req.Cookie, d.jar().Name(contract.CookieSession))
	if err != nil {
		return session.Session{}, err
	}
	s, err := d.Sessions.Open(value, now)
	if err != nil {
		return session.Session{}, err
	}
	if d.Standing.Ended(s.ID, s.User.Name, s.Since) {
		return session.Session{}, session.ErrInvalid
	}
	s.User = d.Standing.Current(s.User)
	return s, nil
}

// unsure reports whether a request must wait until it is known again who was revoked
// (V7). What changes something at the hub never goes on blindly, whatever the mode.
func (d *Decider) unsure(req Request) bool {
	if req.Kind != contract.KindServer && req.Kind != contract.KindHub {
		return false
	}
	return d.Standing.Refuse() || req.Kind == contract.KindHub && !safeMethod(req.Method) && d.Standing.Stale()
}

// seen notes that a session was used.
func (d *Decider) seen(req Request, s session.Session) {
	d.Standing.Seen(liveness.Use{
		User: s.User.Name, Active: active(req),
		Session: account.Session{ID: s.ID, Method: s.Method, Since: s.Since, Expires: s.Expires},
	})
}

// active reports whether a person is behind a request: they opened a page, or something
// is to be changed. What a page of JupyterLab fetches by itself, and the websockets that
// it opens again after each break, say nothing about anybody looking at it.
func active(req Request) bool { return !safeMethod(req.Method) || isPage(req) }

// identityHeaders say who the visitor is, percent-encoded so that no name can end a
// header line. An empty value would not overwrite anything in Envoy, hence the name.
func identityHeaders(u access.User) []Header {
	if u.DisplayName == "" {
		u.DisplayName = u.Name
	}
	return []Header{
		{contract.HeaderUser, contract.EncodeHeader(u.Name)},
		{contract.HeaderDisplayName, contract.EncodeHeader(u.DisplayName)},
	}
}

// identify tells the platform's own services who the visitor is, groups included: the
// spawner decides by them. Servers are not told the groups.
func (v *Verdict) identify(u access.User) {
	v.Set = append(v.Set, identityHeaders(u)...)
	groups := contract.EncodeHeaders(u.Groups)
	if groups == "" { // an empty value would not overwrite anything in Envoy
		v.Remove = append(v.Remove, contract.HeaderGroups)
		return
	}
	v.Set = append(v.Set, Header{contract.HeaderGroups, groups})
}

// target is the server that a route leads to.
func target(req Request) access.Target {
	return access.Target{User: req.Owner, Server: req.Server}
}

// crossOrigin reports whether another site, or a page of unknown origin, is behind a
// request that changes something or opens a websocket (S9, S10). Browsers always send
// Origin with these; a websocket without it comes from no browser and has no business
// with a browser's cookie.
func (d *Decider) crossOrigin(req Request) bool {
	upgrade := req.Upgrade != ""
	if safeMethod(req.Method) && !upgrade {
		return d.Site.PerUser() && foreignUse(req)
	}
	if req.Origin == "" && upgrade {
		return true
	}
	if req.Origin != "" && !d.site(req).Same(req.Origin, req.Host) {
		return true
	}
	return req.FetchSite != "" && req.FetchSite != "same-origin" && req.FetchSite != "none"
}

// foreignUse reports whether another host's page uses ours as a part of itself: reads it as
// a script, an image or a style, or shows it in a frame. Browsers treat people's hosts as
// one site and send the cookies along; links, which open a page of their own, stay (S8).
func foreignUse(req Request) bool {
	if req.FetchSite == "" || req.FetchSite == "same-origin" || req.FetchSite == "none" {
		return false
	}
	return req.FetchMode != "navigate" || req.FetchDest != "document"
}

func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
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

// login sends a page to the login and back; everything else is told 401, since a script
// that follows a redirect to a login form gets HTML where it wants JSON, and JupyterLab
// breaks on it.
func (d *Decider) login(req Request) Verdict {
	v := refuse(req, ReasonNoSession, http.StatusUnauthorized)
	if !v.Page || (req.Method != http.MethodGet && req.Method != http.MethodHead) {
		return v
	}
	v.Status, v.Page, v.Location = http.StatusFound, false, contract.PathLogin
	if d.Site.PerUser() && req.Kind == contract.KindServer {
		return d.askHub(req, v)
	}
	if next, ok := redirect.Safe(req.Path); ok {
		v.Location += "?next=" + url.QueryEscape(next)
	}
	return v
}

// askHub sends a page on a person's host to the hub's login, from where it comes back with
// a code for this browser (package handoff).
func (d *Decider) askHub(req Request, v Verdict) Verdict {
	nonce, err := cookies.One(req.Cookie, d.jar().Name(contract.CookieHandOver))
	if err != nil || len(nonce) != len(session.RandomID()) {
		nonce = session.RandomID() // else another tab's is kept, and both come back
		v.SetCookies = []string{d.jar().Set(contract.CookieHandOver, nonce, server.ID{User: req.Owner}.Prefix())}
	}
	returnTo := handoff.NewReturnTo(req.Owner, req.Path, nonce)
	v.Location = d.Site.HubBaseURL() + contract.PathLogin + "?next=" + url.QueryEscape(returnTo.URL(d.Site))
	return v
}

// site is where a request of this kind belongs: on the hub's hosts, or on those of the
// person whose server it is for.
func (d *Decider) site(req Request) origin.Site {
	if req.Kind == contract.KindHub {
		return d.Site
	}
	return d.Site.For(req.Owner)
}

func (d *Decider) jar() cookies.Jar {
	return cookies.Jar{Secure: d.Site.Secure(), PerUser: d.Site.PerUser()}
}

func refuse(req Request, reason Reason, status int) Verdict {
	return Verdict{Reason: reason, Status: status, Page: isPage(req)}
}

func (v Verdict) by(u access.User) Verdict {
	v.User = u
	return v
}

// isPage reports whether a person will look at the answer: the browser navigates and
// takes HTML. Browsers that send no Sec-Fetch-Mode are judged by Accept alone.
func isPage(req Request) bool {
	return req.Upgrade == "" && strings.Contains(req.Accept, "text/html") && (req.FetchMode == "" || req.FetchMode == "navigate")
}
