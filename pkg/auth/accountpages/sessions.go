package accountpages

import (
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/agent"
	"github.com/perijove/perijove/pkg/web/caller"
)

func (p *Pages) sessionsPage(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	page := web.Sessions{
		Viewer: viewer(v), XSRF: v.XSRF(),
		EndAction: contract.PathSessions + "/end", EndAllAction: contract.PathSessions + "/end-all",
	}
	page.Sessions = p.sessionLines(v, v.Name)
	p.web.Page(w, r, http.StatusOK, page)
	return nil
}

// sessionLines are the open sessions of user.
func (p *Pages) sessionLines(v caller.Caller, user string) (lines []web.SessionLine) {
	for _, s := range p.keeper.Sessions(user) {
		browser, system := agent.Name(s.Agent)
		lines = append(lines, web.SessionLine{
			ID: s.ID, Current: s.ID == v.Session, Since: s.Since, LastSeen: s.LastSeen, Expires: s.Expires, Browser: browser, System: system, Address: s.Address,
		})
	}
	return lines
}

func (p *Pages) sessionEnd(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := p.endOne(r, v, v.Name); err != nil {
		return err
	}
	back(w, contract.PathSessions)
	return nil
}

// endOne ends one session of user: the ID is looked for among theirs, so that a foreign one ends
// nothing.
func (p *Pages) endOne(r *http.Request, v caller.Caller, user string) error {
	if err := r.ParseForm(); err != nil {
		return badRequest("the form cannot be read")
	}
	id := r.PostForm.Get("id")
	for _, s := range p.keeper.Sessions(user) {
		if s.ID != id {
			continue
		}
		err := p.keeper.EndSession(r.Context(), user, s)
		p.audit(r.Context(), v, telemetry.SessionRevoked, "session ended", "owner", telemetry.UserText(user), "own", id == v.Session)
		if err != nil {
			return err
		}
	}
	return nil
}

// endAll ends all sessions of user.
func (p *Pages) endAll(r *http.Request, v caller.Caller, user string) error {
	err := p.keeper.EndAll(r.Context(), user)
	p.audit(r.Context(), v, telemetry.AllSessionsRevoked, "all sessions ended", "owner", telemetry.UserText(user))
	return err
}

func (p *Pages) sessionsEndAll(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	if err := p.endAll(r, v, v.Name); err != nil {
		return err
	}
	// As after a logout (S7).
	w.Header().Set("Clear-Site-Data", `"storage"`)
	back(w, contract.PathLogin)
	return nil
}

// apiEndSessions ends all sessions of a person: one's own, or an administrator anyone's.
func (p *Pages) apiEndSessions(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
	user := r.PathValue("user")
	if err := may(v, access.EndSessions, user); err != nil {
		return err
	}
	if !p.keeper.Known(user) {
		return errNotFound
	}
	if err := p.endAll(r, v, user); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
