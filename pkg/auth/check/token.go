package check

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
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
	if strings.Contains(req.Authorization, tokens.Prefix) {
		return credentials, true
	}
	if req.Kind == contract.KindServer {
		return queryToken(req.Path)
	}
	return "", false
}

// queryToken returns the API token in a server's address, as JupyterHub takes one: clients of
// remote kernels send no header. Envoy removes the parameter by its plain name, so a token in
// any other spelling is good for nothing: the pod would read it.
func queryToken(path string) (token string, ok bool) {
	_, query, _ := strings.Cut(path, "?")
	if !strings.Contains(query, "=") {
		return "", false
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", strings.Contains(query, tokens.Prefix)
	}
	for name, all := range values {
		if !strings.EqualFold(name, contract.QueryToken) {
			continue
		}
		for _, value := range all {
			ok = ok || strings.HasPrefix(value, tokens.Prefix)
		}
	}
	if !ok {
		return "", false // the application's own, or none
	}
	for part := range strings.SplitSeq(query, "&") {
		if value, plain := strings.CutPrefix(part, contract.QueryToken+"="); plain && len(values[contract.QueryToken]) == 1 {
			token = value
		}
	}
	return token, true
}

// serverByToken lets a script into a server. Access says whether the token's owner may
// enter it now, and the scopes whether this token may (S13).
func (d *Decider) serverByToken(req Request, token string) Verdict {
	owner, t, ok := d.live.Token(token)
	if !ok {
		return refuse(req, ReasonBadToken, http.StatusUnauthorized)
	}
	if !access.May(owner, access.EnterServers, target(req), access.BySession()) {
		return refuse(req, ReasonForbidden, http.StatusForbidden).by(owner)
	}
	if !access.May(owner, access.EnterServers, target(req), access.ByToken(t.Scopes)) {
		return refuse(req, ReasonScope, http.StatusForbidden).by(owner)
	}
	if foreignPage(req, d.siteOf(req)) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(owner)
	}
	d.live.UsedToken(owner.Name, t)
	d.noteUse(req)
	v := allow(owner)
	v.Set = append(identityHeaders(owner), Header{contract.HeaderByToken, "true"})
	v.Remove, v.RemoveQuery = []string{"authorization"}, []string{contract.QueryToken}
	return v
}

// noEndpoint refuses a token's request that is not in the API. It goes to no service.
func (d *Decider) noEndpoint(req Request) Verdict {
	status, methods := d.rules.Refusal(req.Method, req.Path)
	if status == http.StatusForbidden {
		return refuse(req, ReasonScope, status)
	}
	v := refuse(req, ReasonNoEndpoint, status)
	v.Methods, v.Page = methods, false
	return v
}

// hubByToken lets a script reach the REST API. What the path needs is decided here, so
// that the services behind know nothing of scopes; what is not in the table is refused.
func (d *Decider) hubByToken(req Request, token string) Verdict {
	owner, t, ok := d.live.Token(token)
	if !ok {
		return refuse(req, ReasonBadToken, http.StatusUnauthorized)
	}
	need, known := d.rules.Need(owner.Name, req.Method, req.Path)
	if !known {
		return d.noEndpoint(req).by(owner)
	}
	if !access.May(owner, need.Action, need.Target, access.ByToken(t.Scopes)) {
		return refuse(req, ReasonScope, http.StatusForbidden).by(owner)
	}
	if foreignPage(req, d.siteOf(req)) {
		return refuse(req, ReasonCrossOrigin, http.StatusForbidden).by(owner)
	}
	d.live.UsedToken(owner.Name, t)
	v := allow(owner)
	v.Remove = []string{"authorization", "cookie", contract.HeaderXSRF, contract.HeaderSession}
	v.identify(owner)
	v.Set = append(v.Set, Header{contract.HeaderScopes, contract.EncodeHeaders(t.Scopes)})
	// An administrator's token acts as one only where the path needs it.
	admin := owner.Admin && (need.User != owner.Name || need.Action == access.ReadUsers || need.Action.General())
	d.describe(&v, req, owner, admin)
	v.setAdmin(admin)
	return v
}
