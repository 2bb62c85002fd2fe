package accountpages

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// pathAccount is the page of one person's sessions and tokens, for administrators.
const pathAccount = contract.PathSessions + "/{user}"

func accountURL(user string) string { return contract.PathSessions + "/" + url.PathEscape(user) }

// accountHandler answers an administrator's request about a person who has an account.
type accountHandler func(w http.ResponseWriter, r *http.Request, v caller.Caller, user string) error

// ofAnother lets administrators pass who are logged in. Whether there is such a person comes after
// the right to ask.
func (p *Pages) ofAnother(next accountHandler) caller.Handler {
	return onlySessions(func(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
		if err := may(v, access.ListUsers, ""); err != nil {
			return err
		}
		user := r.PathValue("user")
		if !p.keeper.Known(user) {
			return errNotFound
		}
		return next(w, r, v, user)
	})
}

func (p *Pages) accountPage(w http.ResponseWriter, r *http.Request, v caller.Caller, user string) error {
	events, err := p.keeper.Trail(r.Context(), user)
	if err != nil {
		return err
	}
	base := accountURL(user)
	now := p.keeper.Current(access.User{Name: user})
	p.web.Page(w, r, http.StatusOK, web.Account{
		Viewer: viewer(v), XSRF: v.XSRF(), Name: user, DisplayName: now.DisplayName, Groups: now.Groups, Admin: now.Admin,
		PersonURL: contract.PathAdminUsers + "/" + url.PathEscape(user),
		Sessions:  p.sessionLines(v, user), EndAction: base + "/end", EndAllAction: base + "/end-all",
		Tokens: p.tokenLines(user), RevokeAction: base + "/revoke", Trail: web.TrailLines(events),
	})
	return nil
}

func (p *Pages) accountEnd(w http.ResponseWriter, r *http.Request, v caller.Caller, user string) error {
	if err := p.endOne(r, v, user); err != nil {
		return err
	}
	back(w, accountURL(user))
	return nil
}

func (p *Pages) accountEndAll(w http.ResponseWriter, r *http.Request, v caller.Caller, user string) error {
	if err := p.endAll(r, v, user); err != nil {
		return err
	}
	back(w, accountURL(user))
	return nil
}

func (p *Pages) accountRevoke(w http.ResponseWriter, r *http.Request, v caller.Caller, user string) error {
	if err := r.ParseForm(); err != nil {
		return badRequest("the form cannot be read")
	}
	// One that is gone already is what the caller wanted: a second click is no error.
	if err := p.revoke(r.Context(), v, user, r.PostForm.Get("id")); err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	back(w, accountURL(user))
	return nil
}
