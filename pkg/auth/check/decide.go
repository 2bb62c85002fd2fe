package check

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/input"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/origin"
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
	ReasonNoEndpoint  Reason = "no_endpoint"
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
	// Methods are those that a path has, for a refusal with 405 (RFC 9110 §10.2.1).
	Methods string
	// Page is true when a person looks at the refusal: HTML instead of JSON.
	Page bool
	// User is who asked, as far as known.
	User access.User
	// Set and Remove change the request on its way to the upstream.
	Set    []Header
	Remove []string
	// RemoveQuery are query parameters that the upstream must not see.
	RemoveQuery []string
	// SetCookies are Set-Cookie values for the browser.
	SetCookies []string
	// Input names the session that opens a websocket (input.Tag); "" for any other request.
	Input string
}

// Liveness answers from memory (*liveness.Keeper).
type Liveness interface {
	// User is the user of a session as the directory described them last; ok is false when
	// the session has ended before its time.
	User(s session.Session) (user access.User, ok bool)
	// Token returns the owner of a living API token, and the token.
	Token(token string) (owner access.User, t account.Token, ok bool)
	// Seen and UsedToken note what was let in; active means that the user did something.
	Seen(s session.Session, active bool)
	UsedToken(owner string, t account.Token)
	// Person is somebody as the directory described them last; ok is false for a name that has
	// no account, or one that the directory refuses.
	Person(name string) (person access.User, ok bool)
	// Stale reports whether revocations may be unknown; Refuse that all users are refused then.
	Stale() bool
	Refuse() bool
}

// passCache is how many living passes are remembered: about 1 KB each, and a pass lives for
// a minute.
const passCache = 10_000

// Decider holds what decisions rest on.
type Decider struct {
	live     Liveness
	sessions *session.Ring
	passes   *pass.Ring
	genuine  *pass.Cache
	rules    *tokens.Rules
	subjects subjects
	site     origin.Site
	passTTL  time.Duration
	onUse    func(server.ID)
}

// Decide judges one request at now.
func (d *Decider) Decide(req Request, now time.Time) Verdict {
	// Envoy answers our hosts only; should that ever be configured away, a page that
	// rebinds its own name to our address ends here (H9).
	if !d.siteOf(req).Answers(req.Host) {
		return refuse(req, ReasonMalformed, http.StatusForbidden)
	}
	if d.unsure(req) {
		return refuse(req, ReasonStale, http.StatusServiceUnavailable)
	}
	if leadsToLogout(req) {
		return Verdict{Reason: ReasonLogout, Status: http.StatusFound, Location: d.site.HubBaseURL() + contract.PathLogout}
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

// unsure reports whether a request is refused because revocations may be unknown (V7). A
// request that changes something at the hub is, whatever the mode.
func (d *Decider) unsure(req Request) bool {
	if req.Kind != contract.KindServer && req.Kind != contract.KindHub {
		return false
	}
	return d.live.Refuse() || req.Kind == contract.KindHub && !safeMethod(req.Method) && d.live.Stale()
}

// hub lets users with a session reach the platform's own pages and API.
func (d *Decider) hub(req Request, now time.Time) Verdict {
	s, err := d.bySession(req, now)
	if err != nil {
		return d.login(req)
	}
	if d.crossOrigin(req) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(s.User)
	}
	if !access.May(s.User, access.Pages, access.Target{}, access.BySession()) {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(s.User)
	}
	d.live.Seen(s, active(req))
	v := allow(s.User)
	v.Remove = []string{"cookie"}
	v.identify(s.User)
	v.Set = append(v.Set, Header{contract.HeaderXSRF, d.sessions.XSRF(s)}, Header{contract.HeaderSession, s.ID})
	d.describe(&v, req, s.User, s.User.Admin)
	v.setAdmin(s.User.Admin)
	return v
}

// server lets the right users reach one user's server.
func (d *Decider) server(req Request, now time.Time) Verdict {
	if req.Owner == "" || !strings.HasPrefix(req.Prefix, contract.PathUser) || !strings.HasSuffix(req.Prefix, "/") {
		return refuse(req, ReasonMalformed, http.StatusForbidden)
	}
	s, renew, err := d.bySessionOrPass(req, now)
	switch {
	case errors.Is(err, cookies.ErrDuplicate):
		// Not to the login: it would come back with the same two cookies, for ever.
		return refuse(req, ReasonDuplicate, http.StatusBadRequest)
	case err != nil:
		return d.login(req)
	}
	if !access.May(s.User, access.EnterServers, target(req), access.BySession()) {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(s.User)
	}
	if d.crossOrigin(req) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(s.User)
	}
	d.live.Seen(s, active(req))
	d.noteUse(req)
	v := allow(s.User)
	if renew {
		token, err := d.passes.Sign(pass.New(s, req.Owner, now, d.passTTL))
		if err != nil {
			return refuse(req, ReasonMalformed, http.StatusForbidden).by(s.User)
		}
		v.SetCookies = pass.SetCookies(d.jar(), token, req.Owner)
	}
	if location, ok := addSlash(req); ok {
		v.Allow, v.Reason, v.Status, v.Location = false, ReasonSlash, http.StatusFound, location
		return v
	}
	v.Set = identityHeaders(s.User)
	if req.Upgrade != "" {
		v.Input = input.Tag(s, serverOf(req))
	}
	return v
}

// noteUse notes that a user does something at a server. What a page asks for by itself is no use.
func (d *Decider) noteUse(req Request) {
	if active(req) {
		d.onUse(serverOf(req))
	}
}

func serverOf(req Request) server.ID { return server.ID{User: req.Owner, Name: req.Server} }

// target is the server that a route leads to.
func target(req Request) access.Target {
	return access.Target{User: req.Owner, Server: req.Server}
}

// siteOf is where a request of this kind belongs: on the hub's hosts, or on those of the
// user whose server it is for.
func (d *Decider) siteOf(req Request) origin.Site {
	if req.Kind == contract.KindHub {
		return d.site
	}
	return d.site.For(req.Owner)
}

func allow(u access.User) Verdict {
	return Verdict{Allow: true, Reason: ReasonAllowed, Status: http.StatusOK, User: u}
}

func refuse(req Request, reason Reason, status int) Verdict {
	return Verdict{Reason: reason, Status: status, Page: isPage(req)}
}

func (v Verdict) by(u access.User) Verdict {
	v.User = u
	return v
}
