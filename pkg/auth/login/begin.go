package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
)

// Proof is a login that succeeded, whatever checked it.
type Proof struct {
	User   access.User     // Name is the name that this login wants
	Method string          // for the session, the metrics and the audit log: "ldap", "oidc"
	Next   string          // where the person wanted to go, not yet judged
	Keep   bool            // the user wants to stay logged in when the browser is closed
	Links  []identity.Link // who it is, for good; the strongest first

	// Of a login with a provider: its id, its session, and the sealed tokens.
	Provider, ProviderSID, IDTokenHint, Refresh string
	Offline                                     bool // Refresh outlives the provider's session
}

// begin makes the session and leads on. Every way of logging in ends here.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request, proof Proof) {
	s := session.New(proof.User, proof.Method, p.Now(), p.Lifetime)
	name, err := p.record(r, s, proof)
	if name == "" {
		p.notClaimed(w, r, proof, err)
		return
	}
	if err != nil {
		p.Log.ErrorContext(r.Context(), "a login could not be recorded", "user", name, "error", err)
	}
	proof.User.Name, s.User.Name = name, name
	for _, old := range p.live(r) {
		// The old session ends here, or a copy of its cookie would outlive this login (S1).
		p.revoke(r.Context(), old)
	}
	value, err := p.sessions.Seal(s)
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the session cannot be made", "error", err)
		p.message(w, r, http.StatusInternalServerError, "error.internal", "error.internal_text", access.User{})
		return
	}
	// No Clear-Site-Data here: it would throw away what other tabs of the same user
	// have not saved yet, each time a session ends. The logout sends it.
	w.Header().Add("Set-Cookie", p.sessionCookie(value, s, proof.Keep))
	w.Header().Add("Set-Cookie", p.jar().Delete(contract.CookieLogin, contract.PathLogin))
	p.logins.WithLabelValues(proof.Method, "success").Inc()
	p.audit(r, telemetry.LoginSucceeded, proof.Method, proof.User.Name, "login", "admin", proof.User.Admin, "provider", proof.Provider)
	p.enter(w, r, s, proof.Next)
}

// sessionCookie ends with the browser, or with the session where the user wants that and the
// site allows it. The session's end and its idle time hold in either case.
func (p *Pages) sessionCookie(value string, s session.Session, keep bool) string {
	if keep && p.KeepLoggedIn {
		return p.jar().Keep(contract.CookieSession, value, contract.PathHub, s.Expires.Sub(p.Now()))
	}
	return p.jar().Set(contract.CookieSession, value, contract.PathHub)
}

// record writes the session down and returns the user name that belongs to this login: a
// directory's alice and a provider's alice are two people, and the name is one's (O9). A
// browser that goes away does not undo a login that succeeded.
func (p *Pages) record(r *http.Request, s session.Session, proof Proof) (name string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordWait)
	defer cancel()
	l := liveness.Login{
		User: proof.User, Links: proof.Links,
		Session: account.Session{
			ID: s.ID, Method: s.Method, Since: s.Since, Expires: s.Expires, LastSeen: s.Since,
			Agent: r.UserAgent(), Address: r.Header.Get(contract.HeaderClientAddress),
			Provider: proof.Provider, ProviderSID: proof.ProviderSID, IDTokenHint: proof.IDTokenHint,
		},
	}
	switch {
	case proof.Offline:
		l.Refresh = proof.Refresh
	case proof.Refresh != "":
		l.Session.Refresh, l.Session.Checked = proof.Refresh, s.Since
	}
	return p.keeper.LogIn(ctx, l)
}

func (p *Pages) notClaimed(w http.ResponseWriter, r *http.Request, proof Proof, err error) {
	page := web.Message{
		Status: http.StatusServiceUnavailable, Title: "error.unavailable", Text: "error.unavailable_text", Data: map[string]string{"User": proof.User.Name},
		RequestID: telemetry.RequestID(r.Context()), ActionURL: contract.PathLogin + query(proof.Next), Action: "oauth.again",
	}
	result := "unavailable"
	switch {
	case errors.Is(err, account.ErrReused):
		result, page.Status, page.Title, page.Text = "reused", http.StatusForbidden, "login.reused", "login.reused_text"
	case errors.Is(err, account.ErrTaken):
		result, page.Status, page.Title, page.Text = "taken", http.StatusForbidden, "oauth.taken", "oauth.taken_text"
	default:
		w.Header().Set("Retry-After", "30")
	}
	var shown identity.Link // for the log; what a login shows best of its person
	if len(proof.Links) > 0 {
		shown = proof.Links[0]
	}
	p.logins.WithLabelValues(proof.Method, result).Inc()
	p.audit(r, telemetry.LoginFailed, proof.Method, proof.User.Name, "login failed", "result", result, "provider", proof.Provider, "issuer", shown.Issuer, "subject", telemetry.UserText(shown.Subject), "error", telemetry.UserText(err.Error()))
	p.web.Page(w, r, page.Status, page)
}
