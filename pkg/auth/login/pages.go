package login

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/login/ratelimit"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/cookies"
	"github.com/perijove/perijove/pkg/web/origin"
)

const (
	// maxForm bounds a posted form in bytes; a name and a password need far less (D5).
	maxForm = 16 << 10
	// maxChecks bounds how many passwords are being checked at one time, so that a slow
	// directory ties up a bounded number of connections (R13).
	maxChecks = 64
	// tellReplicas is how long a logout waits for the shared list before it answers.
	tellReplicas = 2 * time.Second
)

// Checker says who has this name and password, or fails with one of identity's errors.
type Checker func(ctx context.Context, username, password string) (access.User, error)

// Revocations knows which sessions are over and ends them (*liveness.Keeper).
type Revocations interface {
	Ended(id, user string, since time.Time) bool
	EndSession(ctx context.Context, user, id string, expires time.Time) error
}

// Settings is what the pages need.
type Settings struct {
	Check  Checker // nil: there is no form, only providers
	Method string  // how Check proves identity, for the session and the audit log: "ldap"
	// Providers are the other ways in, in the order of their buttons. They need Standing.
	Providers []*oidclogin.Provider
	Standing  *liveness.Keeper // who has which name, and which sessions are open
	Site      origin.Site      // our own addresses
	Sessions  *session.Ring
	Passes    *pass.Ring
	Revoked   Revocations
	Lifetime  time.Duration // of a session
	PassTTL   time.Duration
	Secure    bool // the public URL is https
	Now       func() time.Time
	Log       *slog.Logger
}

// Pages answers /hub/login, /hub/logout and /hub/static/.
type Pages struct {
	Settings
	web      *web.Renderer
	checking chan struct{}
	guesses  *ratelimit.Guard
	logins   *prometheus.CounterVec
	origin   *http.CrossOriginProtection
	redeemer *handoff.Redeemer
}

// New returns the pages.
func New(s Settings, pages *web.Renderer, reg prometheus.Registerer) *Pages {
	p := &Pages{
		Settings: s, web: pages, checking: make(chan struct{}, maxChecks), guesses: ratelimit.New(s.Now), origin: http.NewCrossOriginProtection(),
		redeemer: handoff.NewRedeemer(s.Sessions),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_logins_total", Help: "Attempts to log in, by method and result.",
		}, []string{"method", "result"}),
	}
	reg.MustRegister(p.logins)
	return p
}

// Handler serves the pages; wrap it with telemetry.HTTP.
func (p *Pages) Handler() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+contract.PathLogin, p.showLogin)
	mux.HandleFunc("POST "+contract.PathLogin, p.doLogin)
	mux.HandleFunc("GET "+contract.PathLogout, p.showLogout)
	mux.HandleFunc("POST "+contract.PathLogout, p.doLogout)
	mux.HandleFunc("GET "+contract.PathOAuthLogin+"{provider}", p.startOAuth)
	mux.HandleFunc("GET "+contract.PathOAuthCallback+"{provider}", p.finishOAuth)
	mux.HandleFunc(contract.PathOAuthLogout+"{provider}", p.backChannelLogout)
	mux.HandleFunc("GET "+contract.PathUser+"{owner}/"+contract.SegmentHandOver, p.handleCallback)
	mux.Handle("GET "+contract.PathStatic, web.Static())
	mux.HandleFunc("GET "+contract.PathPassKeys, p.passKeys)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p.message(w, r, http.StatusNotFound, "error.not_found", "error.not_found_text", access.User{})
	})
	return mux
}

// passKeys tells Envoy how to verify passes.
func (p *Pages) passKeys(w http.ResponseWriter, r *http.Request) {
	keys, err := p.Passes.JWKS()
	if err != nil {
		p.Log.ErrorContext(r.Context(), "the keys of passes cannot be told", "error", err)
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(keys)
}

// current returns the request's live session, if there is exactly one cookie.
func (p *Pages) current(r *http.Request) (session.Session, bool) {
	value, err := cookies.One(cookieHeader(r), p.jar().Name(contract.CookieSession))
	if err != nil {
		return session.Session{}, false
	}
	return p.open(value)
}

// live returns every live session that the request carries, for ending them.
func (p *Pages) live(r *http.Request) []session.Session {
	var all []session.Session
	for _, value := range cookies.All(cookieHeader(r), p.jar().Name(contract.CookieSession)) {
		if s, ok := p.open(value); ok {
			all = append(all, s)
		}
	}
	return all
}

func (p *Pages) open(value string) (session.Session, bool) {
	s, err := p.Sessions.Open(value, p.Now())
	if err != nil || p.Revoked.Ended(s.ID, s.User.Name, s.Since) {
		return session.Session{}, false
	}
	if p.Standing != nil {
		s.User = p.Standing.Current(s.User)
	}
	return s, true
}

// jar says how our cookies look here.
func (p *Pages) jar() cookies.Jar {
	return cookies.Jar{Secure: p.Secure, PerUser: p.Site.PerUser()}
}

// cookieHeader joins what HTTP/2 clients may send in several lines (RFC 9113 §8.2.3).
func cookieHeader(r *http.Request) string { return strings.Join(r.Header.Values("Cookie"), "; ") }

// revoke ends a session here at once and tells the other replicas. A person who logs
// out must not wait for a Kubernetes API that is away.
func (p *Pages) revoke(ctx context.Context, s session.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellReplicas)
	defer cancel()
	if err := p.Revoked.EndSession(ctx, s.User.Name, s.ID, s.Expires); err != nil {
		p.Log.ErrorContext(ctx, "a logout is known to this replica only, for now", "user", s.User.Name, "error", err)
	}
}

func (p *Pages) message(w http.ResponseWriter, r *http.Request, status int, title, text string, u access.User) {
	p.web.Page(w, r, status, web.Message{
		Status: status, Title: title, Text: text, User: u.Name, RequestID: telemetry.RequestID(r.Context()),
		ActionURL: contract.PathHub, Action: "error.back",
	})
}

// audit writes the one line for a login, a failed login or a logout. Text that a client
// chose is capped; slog quotes it.
func (p *Pages) audit(r *http.Request, event, username string, attrs ...any) {
	p.auditAs(r, p.Method, event, username, attrs...)
}

func (p *Pages) auditAs(r *http.Request, method, event, username string, attrs ...any) {
	p.Log.InfoContext(r.Context(), event, append([]any{"audit", true, "user", telemetry.UserText(username), "method", method,
		"client", telemetry.UserText(r.Header.Get(contract.HeaderClientAddress))}, attrs...)...)
}
