package hub

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// root leads into the caller's own server when it runs, else to their home page.
func (h *Hub) root(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	own := server.ID{User: who.Name}
	s, err := h.cluster.Get(r.Context(), own)
	if err == nil && h.reach(r.Context(), s) == nil || h.isPublished(own) {
		http.Redirect(w, r, h.serverURL(own), http.StatusFound)
		return nil
	}
	http.Redirect(w, r, contract.PathHome, http.StatusFound)
	return nil
}

// spawnForm shows what would be started. It never starts anything by itself, whatever
// the query says: a link must not (S9).
func (h *Hub) spawnForm(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	next := safeNext(r.URL.Query().Get("next"), id)
	again := s.Phase == spawn.Failed && r.URL.Query().Get(chooseAgain) != ""
	if !again && (s.Phase == spawn.Pending || s.Phase == spawn.Failed || s.Phase == spawn.Answering) {
		http.Redirect(w, r, withNext(pendingURL(id), next), http.StatusSeeOther)
		return nil
	}
	owner, err := starter(id, who)
	if err != nil {
		return err
	}
	catalog := h.cluster.Profiles(owner)
	if len(catalog) == 0 {
		return &spawn.Problem{Message: spawn.MsgNoProfile}
	}
	profiles := forms(catalog, preselected(r, s.Options))
	display := r.URL.Query().Get(fieldDisplay)
	if server.ValidDisplay(display) != nil {
		display = s.DisplayName
	}
	h.web.Page(w, r, http.StatusOK, web.Spawn{
		Viewer: viewer(who), XSRF: who.XSRF(), Action: spawnURL(id), Next: next, Owner: id.User, Server: id.Name, Display: display,
		Profiles: profiles, Safe: slices.ContainsFunc(profiles, func(p web.Profile) bool { return !p.Temporary }),
	})
	return nil
}

// spawnPost starts a server, or starts it again after a failure.
func (h *Hub) spawnPost(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, err := target(r, who)
	if err != nil {
		return err
	}
	owner, err := starter(id, who)
	if err != nil {
		return err
	}
	next := safeNext(cmp.Or(r.PostFormValue("next"), r.URL.Query().Get("next")), id)
	chosen, display := options(r), strings.TrimSpace(r.PostFormValue(fieldDisplay))
	if display != "" && server.ValidDisplay(display) != nil {
		return badRequest{http.StatusBadRequest, "the display name is not one"}
	}
	if err := h.start(r.Context(), spawn.Request{ID: id, Owner: owner, Options: chosen, DisplayName: display}); err != nil {
		return h.refused(w, r, who, id, next, err)
	}
	remember(w, chosen)
	http.Redirect(w, r, back(r, withNext(pendingURL(id), next)), http.StatusSeeOther)
	return nil
}

// temporary reports whether homes of this user's servers may be gone after a stop, so that
// no page says that files stay.
func (h *Hub) temporary(owner access.User) bool {
	return slices.ContainsFunc(h.cluster.Profiles(owner), func(p spawn.Profile) bool { return !p.Lasts() })
}

// refused shows a start that the cluster did not accept, with the button to try again.
// There is no pod that could be asked later, so the answer to the form is the place.
func (h *Hub) refused(w http.ResponseWriter, r *http.Request, who caller.Caller, id server.ID, next string, err error) error {
	problem, ok := asProblem(err)
	if !ok {
		return err
	}
	h.log.WarnContext(r.Context(), "server not started", "user", id.User, "server", id.Name, "error", err)
	retryAfter(w, problemStatus(problem.Message))
	now := web.Line{ID: string(problem.Message), Next: string(problem.Next), Data: problem.Data, Detail: problem.Detail}
	page := web.Pending{
		Viewer: viewer(who), XSRF: who.XSRF(), Owner: id.User, Server: id.Name, Failed: true,
		Now: now, RetryAction: spawnURL(id), Next: next, Temporary: h.temporary(ownerOf(id, who)), RequestID: telemetry.RequestID(r.Context()),
	}
	h.offerChoice(&page, id, who, next)
	if futile(problem.Message, problem.Next) {
		page.RetryAction = ""
	}
	if page.RetryAction == "" && problem.Next != spawn.MsgFreeSmaller { // what was chosen is not there any more
		page.ChooseURL = chooseURL(spawnURL(id), next)
	}
	h.web.Page(w, r, problemStatus(problem.Message), page)
	return nil
}

// futile reports whether the same would be refused again: the choice is none, or is larger than all
// that its user may have.
func futile(why, next spawn.Message) bool {
	return next == spawn.MsgFreeSmaller || slices.Contains([]spawn.Message{spawn.MsgProfile, spawn.MsgChoice, spawn.MsgChoices}, why)
}

// offerChoice adds the way back to the form where there is something to choose.
func (h *Hub) offerChoice(page *web.Pending, id server.ID, who caller.Caller, next string) {
	if page.Failed && !page.Runs && choosable(h.cluster.Profiles(ownerOf(id, who))) {
		page.ChooseURL = chooseURL(spawnURL(id), next)
	}
}

// pending shows how far a server is. It leads into the server only when users can reach
// it, so no redirect ends at a route that is not there yet.
func (h *Hub) pending(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.expectedServer(r, who)
	if err != nil {
		return err
	}
	next := safeNext(r.URL.Query().Get("next"), id)
	reached := h.reach(r.Context(), s)
	switch {
	case s.Phase == spawn.Stopped && len(s.Notices) > 0:
		h.ended(w, r, who, s, next)
		return nil
	case s.Phase == spawn.Stopped:
		http.Redirect(w, r, withNext(spawnURL(id), next), http.StatusSeeOther)
		return nil
	case s.Phase == spawn.Stopping:
		http.Redirect(w, r, contract.PathHome, http.StatusSeeOther)
		return nil
	case reached == nil:
		return h.open(w, r, who, h.openURL(id, next))
	}
	page := web.Pending{
		Viewer: viewer(who), XSRF: who.XSRF(), Owner: id.User, Server: id.Name,
		Percent: s.Now().Percent, Now: line(s.Now()), Failed: s.Phase == spawn.Failed, Used: s.Phase == spawn.Failed && s.Used,
		ReadyURL: h.openURL(id, next), RetryAction: spawnURL(id), StopAction: stopURL(id), Next: next,
		Temporary: h.temporary(ownerOf(id, who)),
	}
	if problem, ok := asProblem(reached); ok {
		page.Failed, page.Runs, page.Now = true, true, web.Line{ID: string(problem.Message)}
	} else if s.Phase == spawn.Answering && time.Since(s.Answered) > h.patience {
		page.Percent, page.Now = percentRoute, web.Line{ID: string(spawn.MsgRoute)}
	}
	page.Log = steps(s)
	if !page.Failed {
		page.Ahead = h.ahead(r, s)
	}
	if page.Failed && !page.Runs {
		page.Wrote, page.WroteBefore, _ = h.tail(r, s)
	}
	if page.Wrote != "" && slices.Contains([]spawn.Message{spawn.MsgCrash, spawn.MsgOOM}, s.Now().Message) {
		page.Now.Detail = "" // it is the end of the log
	}
	if page.Failed {
		page.RequestID = telemetry.RequestID(r.Context())
		h.offerChoice(&page, id, who, next)
		if now := s.Now(); futile(now.Message, now.Next) {
			page.RetryAction = ""
		}
		page.Safe = !page.Runs && !s.Options.Safe && !page.Temporary && page.RetryAction != ""
	} else {
		page.ProgressURL = progressURL(id)
	}
	h.web.Page(w, r, http.StatusOK, page)
	return nil
}

// open leads into a server. The page may be what a form led to, and browsers let forms lead
// to other hosts neither directly nor by redirects.
func (h *Hub) open(w http.ResponseWriter, r *http.Request, who caller.Caller, url string) error {
	if h.Site.PerUser() {
		h.web.Leave(w, r, who.Name, url)
		return nil
	}
	http.Redirect(w, r, url, http.StatusFound)
	return nil
}

func line(s spawn.Step) web.Line {
	return web.Line{ID: string(s.Message), Next: string(s.Next), Data: s.Data, Detail: s.Detail}
}

// ahead returns what the browser may fetch while the server starts. Not where the user saves data
// (the header Save-Data), and not from a user's own host: to load from there our page would have to
// trust scripts from there (S8).
func (h *Hub) ahead(r *http.Request, s spawn.Server) []string {
	if h.Assets == nil || s.Assets == "" || h.Site.PerUser() || strings.EqualFold(r.Header.Get("Save-Data"), "on") {
		return nil
	}
	return h.Assets(s.Assets)
}

func (h *Hub) stopPost(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	id, s, err := h.targetServer(r, who)
	if err != nil {
		return err
	}
	if err := h.stoppable(s); err != nil {
		return err
	}
	if _, err := h.stop(r.Context(), id); err != nil {
		return err
	}
	http.Redirect(w, r, back(r, contract.PathHome), http.StatusSeeOther)
	return nil
}

// userRedirect turns /hub/user-redirect/<path> into the caller's own /user/<me>/<path>,
// for links that are the same for everyone.
func (h *Hub) userRedirect(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	rest := strings.TrimPrefix(r.URL.EscapedPath(), contract.PathUserRedirect)
	to := server.ID{User: who.Name}.Prefix() + rest
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	to, ok := redirect.Safe(to)
	if !ok {
		return badRequest{http.StatusBadRequest, "the path cannot be redirected to"}
	}
	http.Redirect(w, r, h.Site.UserBaseURL(who.Name)+to, http.StatusFound)
	return nil
}

// redirectsParam counts how often a browser has been sent back to a server whose route
// is missing, as JupyterHub does.
const redirectsParam = "redirects"

// maxRedirects ends the loop between a gateway that knows no route and a hub that sees
// a running server.
const maxRedirects = 4

// notRouted answers for /user/<name>/… when the gateway has no route for it.
func (h *Hub) notRouted(w http.ResponseWriter, r *http.Request, who caller.Caller) error {
	path := strings.TrimPrefix(r.URL.EscapedPath(), strings.TrimSuffix(contract.PathHub, "/"))
	owner, second, err := server.ParsePath(path)
	if err != nil {
		return errNotFound
	}
	if err := may(who, access.EnterServers, access.Target{User: owner, WholeUser: true}); err != nil {
		return err
	}
	s, err := h.find(r, owner, second)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	count, _ := strconv.Atoi(query.Get(redirectsParam)) // not a number: from the start
	query.Del(redirectsParam)
	next := path
	if len(query) > 0 {
		next += "?" + query.Encode()
	}
	next = safeNext(next, s.ID)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return errNotRunning
	case s.Phase == spawn.Pending || s.Phase == spawn.Failed:
		http.Redirect(w, r, withNext(pendingURL(s.ID), next), http.StatusSeeOther)
		return nil
	case s.Phase == spawn.Answering:
		if err := h.stuck(r.Context(), s, count); err != nil {
			return err
		}
		if next != "" {
			query.Set(redirectsParam, strconv.Itoa(count+1))
			http.Redirect(w, r, h.Site.UserBaseURL(owner)+path+"?"+query.Encode(), http.StatusFound)
			return nil
		}
	}
	text := "error.not_running_text"
	if h.temporary(ownerOf(s.ID, who)) {
		text = "error.not_running_temporary"
	}
	h.web.Page(w, r, http.StatusFailedDependency, web.Message{
		Status: http.StatusFailedDependency, Title: "error.not_running", Text: text,
		Data: map[string]string{"User": owner}, ActionURL: withNext(spawnURL(s.ID), next), Action: "error.start", User: who.Name,
	})
	return nil
}

// stuck returns why a browser is not sent back to a server that answers, nil for no reason.
func (h *Hub) stuck(ctx context.Context, s spawn.Server, redirects int) error {
	err := h.reach(ctx, s)
	if _, ok := asProblem(err); ok {
		return errRefused
	}
	if err != nil || redirects >= maxRedirects {
		return errStuck
	}
	return nil
}

// find says which server a path below /user/<owner>/ is about: a server named like the
// second segment if there is one, else the default server.
func (h *Hub) find(r *http.Request, owner, second string) (spawn.Server, error) {
	if second != "" {
		for _, s := range h.cluster.List(owner) {
			if s.ID.Name == second {
				return s, nil
			}
		}
	}
	return h.cluster.Get(r.Context(), server.ID{User: owner})
}
