package check

import (
	"net/http"
	"slices"
	"strings"

	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/origin"
)

// ownToken returns the API token that a request says it has. ok is true for everything
// that could be meant as one, right or wrong: such a request stands or falls with it, and
// no cookie helps (S12). A server's application may have tokens of its own, and only those
// are passed on; the hub has none but ours.
func ownToken(req Request) (token string, ok bool) {
	credentials, said := tokens.FromHeader(req.Authorization)
	if said && req.Kind == contract.KindHub {
		return credentials, true
	}
	// Also when it hides in another scheme or in a second header: no pod may see it.
	return credentials, strings.Contains(req.Authorization, tokens.Prefix)
}

// serverByToken lets a script into a server. Policy says whether the token's owner may
// enter it now, and the scopes whether this token may (S13).
func (d *Decider) serverByToken(req Request, token string) Verdict {
	owner, t, ok := d.Standing.Token(token)
	if !ok {
		return refuse(req, ReasonBadToken, http.StatusUnauthorized)
	}
	if access.Decide(owner, access.Request{Kind: access.Server, Owner: req.Owner, Server: req.Server}) != access.Enter {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(owner)
	}
	if !tokens.Cover(owner.Name, t.Scopes, tokens.Need{Action: tokens.Access, User: req.Owner, Server: req.Server}) {
		return refuse(req, ReasonScope, http.StatusForbidden).by(owner)
	}
	if foreignPage(req, d.site(req)) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(owner)
	}
	d.Standing.UsedToken(owner.Name, t)
	return Verdict{
		Allow: true, Reason: ReasonAllowed, Status: http.StatusOK, User: owner,
		Set:    append(identityHeaders(owner), Header{contract.HeaderByToken, "true"}),
		Remove: []string{"authorization"},
	}
}

// hubByToken lets a script reach the REST API. What the path needs is decided here, so
// that the services behind know nothing of scopes; what is not in the table is refused.
func (d *Decider) hubByToken(req Request, token string) Verdict {
	owner, t, ok := d.Standing.Token(token)
	if !ok {
		return refuse(req, ReasonBadToken, http.StatusUnauthorized)
	}
	need, known := d.API.Need(owner.Name, req.Method, req.Path)
	if !known || !tokens.Allow(owner, t.Scopes, need) {
		return refuse(req, ReasonScope, http.StatusForbidden).by(owner)
	}
	if foreignPage(req, d.site(req)) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(owner)
	}
	d.Standing.UsedToken(owner.Name, t)
	v := Verdict{
		Allow: true, Reason: ReasonAllowed, Status: http.StatusOK, User: owner, Set: identityHeaders(owner),
		Remove: []string{"authorization", "cookie", contract.HeaderXSRF, contract.HeaderSession},
	}
	scopes := slices.Clone(t.Scopes)
	for i, scope := range scopes {
		scopes[i] = contract.EncodeHeader(scope)
	}
	v.Set = append(v.Set, Header{contract.HeaderScopes, strings.Join(scopes, " ")})
	// An administrator's token acts as one only where the path needs it.
	if owner.Admin && (need.User != owner.Name || need.Action == tokens.ReadUsers) {
		v.Set = append(v.Set, Header{contract.HeaderAdmin, "true"})
	} else {
		v.Remove = append(v.Remove, contract.HeaderAdmin)
	}
	return v
}

// foreignPage reports whether a page of another site is behind a request with a token.
// Scripts send no Origin, for websockets neither.
func foreignPage(req Request, site origin.Site) bool {
	return req.Origin != "" && !site.Same(req.Origin, req.Host)
}
