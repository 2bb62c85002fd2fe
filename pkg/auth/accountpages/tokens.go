package accountpages

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// choices are the scopes that the form offers; "!user" stands for the caller.
func choices(admin bool) []web.ScopeChoice {
	all := []web.ScopeChoice{
		{Value: "access:servers!user", Text: "token.scope_access", Checked: true},
		{Value: "servers!user", Text: "token.scope_servers", Checked: true},
		{Value: "read:users!user", Text: "token.scope_read"},
		{Value: "tokens!user", Text: "token.scope_tokens"},
	}
	if admin {
		all = append(all,
			web.ScopeChoice{Value: "admin:servers", Text: "token.scope_admin_servers"},
			web.ScopeChoice{Value: "admin:users", Text: "token.scope_admin_users"})
	}
	return all
}

// days are the lifetimes that the form offers.
func days() []int { return []int{1, 7, 30, 90} }

const day = 24 * time.Hour

func (p *Pages) tokenPage(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	p.showTokens(w, r, v, http.StatusOK, web.Token{})
	return nil
}

// showTokens fills in what every token page shows.
func (p *Pages) showTokens(w http.ResponseWriter, r *http.Request, v caller.Caller, status int, page web.Token) {
	page.Viewer, page.XSRF = viewer(v), v.XSRF()
	page.Action, page.RevokeAction = contract.PathToken, contract.PathToken+"/revoke"
	page.Scopes, page.Days = choices(p.owner(v).Admin), days()
	page.Tokens = p.tokenLines(v.Name)
	p.web.Page(w, r, status, page)
}

// tokenLines are the living API tokens of user.
func (p *Pages) tokenLines(user string) (lines []web.TokenLine) {
	for _, t := range p.keeper.Tokens(user) {
		lines = append(lines, web.TokenLine{ID: t.ID, Note: t.Note, Scopes: t.Scopes, Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed})
	}
	return lines
}

func (p *Pages) tokenMake(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := r.ParseForm(); err != nil {
		return badRequest("the form cannot be read")
	}
	n, err := strconv.Atoi(r.PostForm.Get("days"))
	if err != nil || !slices.Contains(days(), n) {
		return badRequest("days is not one of the choices")
	}
	// The text box takes more scopes, one a line: names may contain spaces.
	scopes := append(slices.Clone(r.PostForm["scope"]), lines(r.PostForm.Get("scopes"))...)
	note := strings.TrimSpace(r.PostForm.Get("note"))
	token, made, err := p.make(r.Context(), v, wanted{note: note, scopes: scopes, life: time.Duration(n) * day})
	var bad badRequest
	switch {
	case errors.As(err, &bad):
		p.showTokens(w, r, v, http.StatusBadRequest, web.Token{Error: "token.bad_scopes", Note: note, More: r.PostForm.Get("scopes")})
		return nil
	case errors.Is(err, account.ErrTooManyTokens):
		p.showTokens(w, r, v, http.StatusBadRequest, web.Token{Error: "token.too_many", Note: note})
		return nil
	case err != nil:
		return err
	}
	p.showTokens(w, r, v, http.StatusCreated, web.Token{Made: token, MadeNote: made.Note})
	return nil
}

func (p *Pages) tokenRevoke(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := r.ParseForm(); err != nil {
		return badRequest("the form cannot be read")
	}
	// One that is gone already is what the caller wanted: a second click is no error.
	if err := p.revoke(r.Context(), v, v.Name, r.PostForm.Get("id")); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	back(w, contract.PathToken)
	return nil
}

// back leads from a form to the page that it was on.
func back(w http.ResponseWriter, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
