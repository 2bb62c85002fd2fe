package login

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
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

// startOAuth sends the browser to the provider.
func (p *Pages) startOAuth(w http.ResponseWriter, r *http.Request) {
	provider, ok := p.provider(w, r)
	if !ok {
		return
	}
	next := r.URL.Query().Get("next")
	if fromElsewhere(r) {
		// Another site must not choose when somebody logs in here (S7); a person may.
		p.redirect(w, r, contract.PathLogin+query(next))
		return
	}
	location, sealed, err := provider.Begin(r.Context(), p.ownOrigin(r)+contract.PathOAuthCallback+provider.ID(), next)
	if err != nil {
		p.oauthFailed(w, r, provider, next, err)
		return
	}
	w.Header().Add("Set-Cookie", p.jar().Set(contract.CookieOAuth, sealed, contract.PathOAuthCallback+provider.ID()))
	p.redirect(w, r, location)
}

// fromElsewhere reports whether the browser says that another site, or nobody who looks
// at it, is behind a navigation.
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
	path := contract.PathOAuthCallback + provider.ID()
	sealed, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieOAuth))
	// Whatever comes of it, this login is over: the value is good for one try (O1).
	w.Header().Add("Set-Cookie", p.jar().Delete(contract.CookieOAuth, path))
	if errors.Is(err, cookies.ErrDuplicate) {
		for _, planted := range []string{"/", "/hub", contract.PathHub, strings.TrimSuffix(contract.PathOAuthCallback, "/"), contract.PathOAuthCallback} {
			w.Header().Add("Set-Cookie", p.jar().Delete(contract.CookieOAuth, planted))
		}
	}
	login, next, err := provider.Finish(r.Context(), r.URL.Query(), sealed)
	if err != nil {
		p.oauthFailed(w, r, provider, next, err)
		return
	}
	p.begin(w, r, Proof{
		User: login.User, Method: methodOIDC, Next: next, Link: account.Link{Issuer: login.Issuer, Subject: login.Subject},
		Provider: provider.ID(), ProviderSID: login.SID, IDTokenHint: login.Hint, Refresh: login.Refresh,
	})
}

// oauthFailed says what happened and leads back to the login.
func (p *Pages) oauthFailed(w http.ResponseWriter, r *http.Request, provider *oidclogin.Provider, next string, err error) {
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

// ownOrigin is our address as this browser knows it. Envoy lets nobody in by a name
// that is not ours; should that fail, the first name is taken.
func (p *Pages) ownOrigin(r *http.Request) string {
	host := r.Host
	if !p.Site.Answers(host) {
		host = p.Site.Hosts[0]
	}
	return p.Site.Scheme + "://" + host
}
