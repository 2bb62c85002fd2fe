package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/cookies"
)

// methodOIDC is the method of sessions that a provider vouches for.
const methodOIDC = "oidc"

// buttons are the providers as the login page shows them.
func (p *Pages) buttons(next string) []web.Provider {
	var all []web.Provider
	for _, provider := range p.Providers {
		all = append(all, web.Provider{Name: provider.Name(), URL: contract.PathOAuthLogin + provider.ID() + query(next)})
	}
	return all
}

func query(next string) string {
	if next == "" {
		return ""
	}
	return "?next=" + url.QueryEscape(next)
}

// provider returns the provider that the request's path names, or answers 404.
func (p *Pages) provider(w http.ResponseWriter, r *http.Request) (*oidclogin.Provider, bool) {
	for _, provider := range p.Providers {
		if provider.ID() == r.PathValue("provider") {
			return provider, true
		}
	}
	p.message(w, r, http.StatusNotFound, "error.not_found", "error.not_found_text", access.User{})
	return nil, false
}

// startOAuth sends the browser to the provider: by a link, or by a form that says whether the
// user stays logged in.
func (p *Pages) startOAuth(w http.ResponseWriter, r *http.Request) {
	provider, ok := p.provider(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.message(w, r, http.StatusBadRequest, "error.bad_request", "error.bad_request_text", access.User{})
		return
	}
	next := r.Form.Get("next")
	if fromElsewhere(r) || p.origin.Check(r) != nil {
		// Another site must not choose when a user logs in here (S7).
		p.redirect(w, r, contract.PathLogin+query(next))
		return
	}
	location, sealed, err := provider.Begin(r.Context(), p.ownOrigin(r)+contract.PathOAuthCallback+provider.ID(), next, keeps(r))
	if err != nil {
		p.oauthFailed(w, r, provider, next, err)
		return
	}
	cookie, ok := oauthCookie(stateOf(location))
	if !ok {
		p.oauthFailed(w, r, provider, next, oidclogin.ErrState)
		return
	}
	p.makeRoom(w, r, provider)
	w.Header().Add("Set-Cookie", p.jar().Keep(cookie, sealed, contract.PathHub, oidclogin.StateLifetime))
	p.leave(w, r, access.User{}, location)
}

// maxUnderWay is how many logins one browser may have under way.
const maxUnderWay = 5

// oauthCookie is the name of the cookie of one login under way. Each login has its own: a
// second tab must not overwrite what the first one's login comes back to.
func oauthCookie(state string) (name string, ok bool) {
	const enough = 10 // characters of the state's 22
	if len(state) != len(session.RandomID()) || !session.Strict(state, 1, len(state)) {
		return "", false
	}
	return contract.CookieOAuth + state[:enough], true
}

func stateOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Query().Get("state")
}

// makeRoom removes the browser's logins under way that are over, and the oldest when one more
// would be too many: all of them travel with each request for the hub's pages.
func (p *Pages) makeRoom(w http.ResponseWriter, r *http.Request, provider *oidclogin.Provider) {
	var underWay []string
	ends := map[string]time.Time{}
	for name, sealed := range cookies.WithPrefix(cookieHeader(r), p.jar().Name(contract.CookieOAuth)) {
		name = contract.CookieOAuth + strings.TrimPrefix(name, p.jar().Name(contract.CookieOAuth))
		end, _ := provider.Ends(sealed) // zero for one that is over
		ends[name] = end
		underWay = append(underWay, name)
	}
	slices.SortFunc(underWay, func(a, b string) int { return ends[b].Compare(ends[a]) })
	for i, name := range underWay {
		if i >= maxUnderWay-1 || ends[name].IsZero() {
			w.Header().Add("Set-Cookie", p.jar().Delete(name, contract.PathHub))
		}
	}
}

// fromElsewhere reports whether the browser says that another site, or a page that it loads
// ahead of time, is behind a navigation.
func fromElsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none" || strings.Contains(r.Header.Get("Sec-Purpose")+r.Header.Get("Purpose"), "prefetch")
}

// finishOAuth is where the provider sends the browser back to.
func (p *Pages) finishOAuth(w http.ResponseWriter, r *http.Request) {
	provider, ok := p.provider(w, r)
	if !ok {
		return
	}
	sealed := ""
	if cookie, ok := oauthCookie(r.URL.Query().Get("state")); ok {
		var err error
		sealed, err = cookies.One(cookieHeader(r), p.jar().Name(cookie)) // none, or two, belongs to no login
		// Whatever comes of it, this login is over: the value is good for one try (O1). Those
		// of other tabs go on.
		w.Header().Add("Set-Cookie", p.jar().Delete(cookie, contract.PathHub))
		if errors.Is(err, cookies.ErrDuplicate) {
			for _, planted := range []string{"/", "/hub", strings.TrimSuffix(contract.PathOAuthCallback, "/"), contract.PathOAuthCallback, contract.PathOAuthCallback + provider.ID()} {
				w.Header().Add("Set-Cookie", p.jar().Delete(cookie, planted))
			}
		}
	}
	login, next, err := provider.Finish(r.Context(), r.URL.Query(), sealed)
	if err != nil {
		p.oauthFailed(w, r, provider, next, err)
		return
	}
	p.begin(w, r, Proof{
		User: login.User, Method: methodOIDC, Next: next, Keep: login.Keep, Links: []identity.Link{{Issuer: login.Issuer, Subject: login.Subject}},
		Provider: provider.ID(), ProviderSID: login.SID, IDTokenHint: login.Hint, Refresh: login.Refresh, Offline: provider.Offline(),
	})
}

// oauthFailed says what happened and leads back to the login. A browser that is logged in is
// led on: its answer was used already, or another tab was faster.
func (p *Pages) oauthFailed(w http.ResponseWriter, r *http.Request, provider *oidclogin.Provider, next string, err error) {
	if s, ok := p.current(r); ok && errors.Is(err, oidclogin.ErrState) {
		p.enter(w, r, s, next)
		return
	}
	status, result, text := http.StatusServiceUnavailable, "unavailable", "oauth.unavailable"
	switch {
	case errors.Is(err, oidclogin.ErrState):
		status, result, text = http.StatusBadRequest, "state", "oauth.state"
	case errors.Is(err, oidclogin.ErrToken):
		status, result, text = http.StatusBadRequest, "invalid", "oauth.invalid"
	case errors.Is(err, oidclogin.ErrDeclined):
		status, result, text = http.StatusForbidden, "declined", "oauth.declined"
	case errors.Is(err, access.ErrNotAllowed):
		status, result, text = http.StatusForbidden, "not_allowed", "oauth.not_allowed"
	case errors.Is(err, oidclogin.ErrBusy):
		status, result, text = http.StatusTooManyRequests, "throttled", "oauth.unavailable"
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "30")
	}
	p.logins.WithLabelValues(methodOIDC, result).Inc()
	p.audit(r, telemetry.LoginFailed, methodOIDC, "", "login failed", "provider", provider.ID(), "result", result, "error", telemetry.UserText(err.Error()))
	p.web.Page(w, r, status, web.Message{
		Status: status, Title: text, Text: text + "_text", Data: map[string]string{"Name": provider.Name()}, RequestID: telemetry.RequestID(r.Context()),
		ActionURL: contract.PathLogin + query(next), Action: "oauth.again",
	})
}

// ownOrigin is our address as this browser knows it. Envoy answers no name
// that is not ours; should that fail, the first name is taken.
func (p *Pages) ownOrigin(r *http.Request) string {
	host := r.Host
	if !p.Site.Answers(host) {
		host = p.Site.Hosts[0]
	}
	return p.Site.Scheme + "://" + host
}
