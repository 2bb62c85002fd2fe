package login

import (
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/cookies"
	"github.com/perijove/perijove/pkg/identity"
	"github.com/perijove/perijove/pkg/session"
)

// Proof is a login that succeeded, whatever checked it.
type Proof struct {
	User   identity.User
	Method string // for the session, the metrics and the audit log: "ldap"
	Next   string // where the person wanted to go, not yet judged
}

// begin makes the session and leads on. Every way of logging in ends here.
func (p *Pages) begin(w http.ResponseWriter, r *http.Request, proof Proof) {
	for _, old := range p.live(r) {
		// The old session ends here, or a copy of its cookie would outlive this login (S1).
		p.revoke(r.Context(), old)
	}
	s := session.New(proof.User, proof.Method, p.Now(), p.Lifetime)
	value, err := p.Sessions.Seal(s)
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the session cannot be made", "error", err)
		p.message(w, r, http.StatusInternalServerError, "error.internal", "error.internal_text", identity.User{})
		return
	}
	// No Clear-Site-Data here: it would throw away what other tabs of the same person
	// have not saved yet, each time a session ends. The logout sends it.
	w.Header().Add("Set-Cookie", cookies.Set(contract.CookieSession, value, contract.PathHub, p.Secure))
	w.Header().Add("Set-Cookie", cookies.Delete(contract.CookieLogin, contract.PathLogin, p.Secure))
	p.logins.WithLabelValues(proof.Method, "success").Inc()
	p.audit(r, "login", proof.User.Name, "admin", proof.User.Admin)
	p.enter(w, r, s, proof.Next)
}
