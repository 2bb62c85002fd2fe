package login

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/login/ratelimit"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// showLogin shows the form, or leads on who is logged in already: this is also where a
// browser with a session fetches the pass for a server.
func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) {
	next := r.URL.Query().Get("next")
	if s, ok := p.current(r); ok {
		p.enter(w, r, s, next)
		return
	}
	p.form(w, r, http.StatusOK, web.Login{Next: next})
}

// form shows the login form with a fresh token. A well-formed pre-session cookie is
// kept, so that a second tab does not break the first one's form.
func (p *Pages) form(w http.ResponseWriter, r *http.Request, status int, page web.Login) {
	pre, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieLogin))
	if err != nil || len(pre) != len(session.RandomID()) {
		pre = session.RandomID()
		w.Header().Add("Set-Cookie", p.jar().Set(contract.CookieLogin, pre, contract.PathLogin))
	}
	if _, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieSession)); errors.Is(err, cookies.ErrDuplicate) {
		// One of the two was planted by a page on a user's server, with a path that we
		// can only guess. Without this the login would never succeed.
		for _, path := range []string{"/", "/hub", contract.PathHub, contract.PathLogin} {
			w.Header().Add("Set-Cookie", p.jar().Delete(contract.CookieSession, path))
		}
	}
	if !p.safe(page.Next) {
		page.Next = ""
	}
	page.Keep = web.Keep{Offered: p.KeepLoggedIn, Chosen: keeps(r)}
	page.Password, page.Providers = p.Check != nil, p.buttons(page.Next)
	page.Action, page.XSRF = contract.PathLogin, p.sessions.LoginToken(pre)
	p.web.Page(w, r, status, page)
}

// doLogin checks the form. The order matters: cheap refusals first, the directory last.
func (p *Pages) doLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.message(w, r, http.StatusBadRequest, "error.bad_request", "error.bad_request_text", access.User{})
		return
	}
	username, password, next := withoutDomain(r.PostForm.Get("username")), r.PostForm.Get("password"), r.PostForm.Get("next")
	if !p.admitForm(w, r, username, next) {
		return
	}
	if p.Check == nil || username == "" || len(username) > server.MaxName {
		p.form(w, r, http.StatusBadRequest, web.Login{Next: next, Error: "login.invalid"})
		return
	}
	attempt := p.attempt(r, username)
	proof, err := p.check(r, attempt, password)
	if err != nil {
		p.failed(w, r, web.Login{Next: next, Username: username}, err)
		return
	}
	p.remember(w, attempt)
	proof.Method, proof.Next, proof.Keep = p.Method, next, keeps(r)
	p.begin(w, r, proof)
}

// keeps reports whether a posted form says that the user wants to stay logged in.
func keeps(r *http.Request) bool { return r.PostForm.Get("keep") == "true" }

// withoutDomain returns the name in what people of a Windows domain type: EXAMPLE\alice. No
// user name has a backslash. It is cut here, before guesses are counted: each made-up domain
// would get a new count.
func withoutDomain(typed string) string { return typed[strings.LastIndex(typed, `\`)+1:] }

// admitForm reports whether the post comes from our own form in this browser: by what the
// browser says about its origin, and by the token bound to the pre-session cookie. A
// foreign login would plant the attacker's session in the victim's browser (S7). If not, it
// has answered: a form of ours that is stale is shown again, and where another tab has
// logged in meanwhile, the browser is led on.
func (p *Pages) admitForm(w http.ResponseWriter, r *http.Request, username, next string) bool {
	foreign := p.origin.Check(r) != nil
	pre, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieLogin))
	if !foreign && err == nil && p.sessions.CheckLoginToken(pre, r.PostForm.Get(contract.XSRFName)) {
		return true
	}
	if s, ok := p.current(r); ok && !foreign {
		p.enter(w, r, s, next)
		return false
	}
	result, reason := "stale", "the form's token is not this browser's"
	if foreign {
		result, reason = "cross_origin", "the form is not ours"
	}
	p.logins.WithLabelValues(p.Method, result).Inc()
	p.audit(r, telemetry.LoginRefused, p.Method, username, "login refused", "reason", reason)
	if foreign {
		p.message(w, r, http.StatusForbidden, "error.xsrf", "error.xsrf_text", access.User{})
	} else {
		p.form(w, r, http.StatusForbidden, web.Login{Next: next, Username: username, Error: "login.stale"})
	}
	return false
}

// errBusy: too many logins are being checked already, or wait for that.
var errBusy = errors.New("too many logins at one time")

// check asks the directory about a password. A class that logs in at once takes turns: up to
// queueWait it waits for undecided attempts from its address and for the directory.
func (p *Pages) check(r *http.Request, attempt ratelimit.Attempt, password string) (Proof, error) {
	if strings.TrimSpace(password) == "" {
		return Proof{}, access.ErrCredentials
	}
	select {
	case p.queue <- struct{}{}:
		defer func() { <-p.queue }()
	default:
		return Proof{}, errBusy
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.queueWait)
	defer cancel()
	done, wait := p.guesses.Begin(ctx, attempt)
	switch {
	case wait > 0 && ctx.Err() != nil:
		return Proof{}, errBusy
	case wait > 0:
		return Proof{}, throttled{wait}
	}
	failed := false
	defer func() { done(failed) }()
	select {
	case p.checking <- struct{}{}:
		defer func() { <-p.checking }()
	case <-ctx.Done():
		return Proof{}, errBusy
	}
	proof, err := p.Check(r.Context(), attempt.Account, password)
	failed = errors.Is(err, access.ErrCredentials)
	return proof, err
}

// failed shows the form again with the reason. JupyterHub's clients expect 403 for
// wrong credentials.
func (p *Pages) failed(w http.ResponseWriter, r *http.Request, page web.Login, err error) {
	status, result := http.StatusServiceUnavailable, "unavailable"
	var late throttled
	switch {
	case errors.Is(err, access.ErrCredentials):
		status, result, page.Error = http.StatusForbidden, "invalid", "login.invalid"
	case errors.Is(err, access.ErrNotAllowed):
		status, result, page.Error = http.StatusForbidden, "not_allowed", "login.not_allowed"
	case errors.As(err, &late):
		status, result, page.Error = http.StatusTooManyRequests, "throttled", "login.throttled"
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(late.wait.Seconds()))))
	case errors.Is(err, errBusy):
		result, page.Error = "busy", "login.busy"
		w.Header().Set("Retry-After", "5")
	default:
		page.Error = "login.unavailable"
		w.Header().Set("Retry-After", "30")
	}
	p.logins.WithLabelValues(p.Method, result).Inc()
	p.audit(r, telemetry.LoginFailed, p.Method, page.Username, "login failed", "result", result, "error", telemetry.UserText(err.Error()))
	p.form(w, r, status, page)
}

// enter leads a browser with a session to next, with the pass that next needs. A server
// that they may not enter gets a refusal here and no redirect: the server's answer would
// be another redirect to this page, for ever.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request, s session.Session, next string) {
	if returnTo, ok := handoff.Parse(p.Site, next); ok {
		p.handOff(w, r, s, returnTo)
		return
	}
	target, owner := destination(next)
	if owner == "" {
		p.redirect(w, r, target)
		return
	}
	if !p.admitted(w, r, s, owner) {
		return
	}
	if p.Site.PerUser() {
		// Her host will ask for a login and come back with a returnTo.
		p.leave(w, r, s.User, p.Site.UserBaseURL(owner)+target)
		return
	}
	if p.givePass(w, r, s, owner) {
		p.redirect(w, r, target)
	}
}

// givePass sets the pass of session s for owner's servers, or answers that it cannot.
func (p *Pages) givePass(w http.ResponseWriter, r *http.Request, s session.Session, owner string) bool {
	token, err := p.passes.Sign(pass.New(s, owner, p.Now(), p.PassTTL))
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the pass cannot be made", "error", err)
		p.message(w, r, http.StatusInternalServerError, "error.internal", "error.internal_text", s.User)
		return false
	}
	for _, c := range pass.SetCookies(p.jar(), token, owner) {
		w.Header().Add("Set-Cookie", c)
	}
	return true
}

// admitted reports whether the user may enter owner's servers, and says so if not.
func (p *Pages) admitted(w http.ResponseWriter, r *http.Request, s session.Session, owner string) bool {
	if access.May(s.User, access.EnterServers, access.Target{User: owner}, access.BySession()) {
		return true
	}
	p.audit(r, telemetry.AccessRefused, s.Method, s.User.Name, "access refused", "reason", "forbidden", "owner", owner)
	p.message(w, r, http.StatusForbidden, "error.forbidden", "error.forbidden_text", s.User)
	return false
}

func (p *Pages) redirect(w http.ResponseWriter, r *http.Request, target string) {
	w.Header().Set("Cache-Control", "no-store")
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	// Not http.Redirect: it would clean a path that is meant as it stands.
	w.Header().Set("Location", target)
	w.WriteHeader(status)
}

// destination turns a "next" into where to go and, for a path below /user/, whose
// servers these are. The path is put into the spelling that the pass cookie's path has:
// a browser would not send the cookie to /user/alice or to /user/%61lice/.
func destination(next string) (target, owner string) {
	next, ok := redirect.Safe(next)
	if !ok || isOurOwn(next) {
		return contract.PathHub, ""
	}
	path, query, hasQuery := strings.Cut(next, "?")
	if !strings.HasPrefix(path, contract.PathUser) {
		return next, ""
	}
	spelled, rest, _ := strings.Cut(strings.TrimPrefix(path, contract.PathUser), "/")
	owner, err := url.PathUnescape(spelled)
	if err != nil || server.ValidUser(owner) != nil {
		return contract.PathHub, ""
	}
	prefix := contract.PathUser + spelled + "/"
	if paths := pass.Paths(owner); !slices.Contains(paths, prefix) {
		prefix = paths[0]
	}
	if target = prefix + rest; hasQuery {
		target += "?" + query
	}
	return target, owner
}

// isOurOwn reports whether path is the login or logout page: leading a browser there
// after a login would log them out again or go round in circles.
func isOurOwn(next string) bool {
	path, _, _ := strings.Cut(next, "?")
	for _, own := range []string{contract.PathLogin, contract.PathLogout, contract.PathOAuthLogin, contract.PathOAuthCallback, contract.PathOAuthLogout} {
		if own = strings.TrimSuffix(own, "/"); path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}
