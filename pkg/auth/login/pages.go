package login

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/handoff"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/login/oidclogin"
	"github.com/perijove/perijove/pkg/auth/login/ratelimit"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
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
	// maxQueue bounds how many logins wait for their turn, queueWait for how long.
	maxQueue  = 1000
	queueWait = 5 * time.Second
	// tellReplicas is how long a logout waits for the shared list before it answers.
	tellReplicas = 2 * time.Second
	// recordWait bounds what a login waits for Kubernetes to say whose a name is and to write
	// the session down.
	recordWait = 2 * time.Second
)

// Checker returns the login of this name and password (of Proof, User and Links), or fails with
// one of access' errors.
type Checker func(ctx context.Context, username, password string) (Proof, error)

// Keeper is what the pages need of accounts and open sessions (*liveness.Keeper).
type Keeper interface {
	// User is the user of a session as the directory described them last; ok is false when
	// the session has ended before its time.
	User(s session.Session) (user access.User, ok bool)
	// LogIn records a login and returns the name that it gets; with a name it holds even if
	// there is an error.
	LogIn(ctx context.Context, l liveness.Login) (name string, err error)
	// EndSession ends one session; an error says that other replicas do not know yet.
	EndSession(ctx context.Context, user string, s account.Session) error
	// Session is what is recorded of one open session.
	Session(ctx context.Context, user, id string) (account.Session, bool)
	// ByLink and ByProviderSession find the account of a login at a provider.
	ByLink(l identity.Link) (account.Account, bool)
	ByProviderSession(provider, sid string) (account.Account, bool)
}

// Settings is what the pages go by.
type Settings struct {
	Check  Checker // nil: there is no form, only providers
	Method string  // how Check proves identity, for the session and the audit log: "ldap"
	// Providers are the other ways in, in the order of their buttons.
	Providers []*oidclogin.Provider
	Site      origin.Site   // our own addresses
	Lifetime  time.Duration // of a session
	PassTTL   time.Duration
	// KeepLoggedIn lets users ask for a session that outlives the browser.
	KeepLoggedIn bool
	Now          func() time.Time
	Log          *slog.Logger
}

// Pages answers /hub/login, /hub/logout and what providers and users' hosts send back to.
type Pages struct {
	keeper   Keeper
	sessions *session.Ring
	passes   *pass.Ring
	web      *web.Renderer
	Settings

	queue, checking chan struct{}
	queueWait       time.Duration // the constant; tests shorten it

	guesses  *ratelimit.Guard
	logins   *prometheus.CounterVec
	origin   *http.CrossOriginProtection
	redeemer *handoff.Redeemer
}

// New returns the pages. Their cookies are made with the keys of the two rings.
func New(keeper Keeper, sessions *session.Ring, passes *pass.Ring, pages *web.Renderer, reg prometheus.Registerer, s Settings) *Pages {
	p := &Pages{
		keeper: keeper, sessions: sessions, passes: passes, web: pages, Settings: s,
		queue: make(chan struct{}, maxQueue), checking: make(chan struct{}, maxChecks), queueWait: queueWait,
		guesses: ratelimit.New(s.Now), origin: http.NewCrossOriginProtection(),
		redeemer: handoff.NewRedeemer(sessions),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_logins_total", Help: "Attempts to log in, by method and result.",
		}, []string{"method", "result"}),
	}
	reg.MustRegister(p.logins)
	return p
}

// Register adds the pages to mux.
func (p *Pages) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+contract.PathLogin, p.showLogin)
	mux.HandleFunc("POST "+contract.PathLogin, p.doLogin)
	mux.HandleFunc("GET "+contract.PathLogout, p.showLogout)
	mux.HandleFunc("POST "+contract.PathLogout, p.doLogout)
	mux.HandleFunc("GET "+contract.PathOAuthLogin+"{provider}", p.startOAuth)
	mux.HandleFunc("POST "+contract.PathOAuthLogin+"{provider}", p.startOAuth)
	mux.HandleFunc("GET "+contract.PathOAuthCallback+"{provider}", p.finishOAuth)
	mux.HandleFunc(contract.PathOAuthLogout+"{provider}", p.backChannelLogout)
	mux.HandleFunc("GET "+contract.PathUser+"{owner}/"+contract.SegmentHandOver, p.handleCallback)
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

// open returns the live session in a cookie's value, its user as the directory described
// them last.
func (p *Pages) open(value string) (session.Session, bool) {
	s, err := p.sessions.Open(value, p.Now())
	if err != nil {
		return session.Session{}, false
	}
	return p.alive(s)
}

func (p *Pages) alive(s session.Session) (session.Session, bool) {
	user, ok := p.keeper.User(s)
	s.User = user
	return s, ok && p.Now().Before(s.Expires)
}

// jar says how our cookies look here.
func (p *Pages) jar() cookies.Jar {
	return cookies.Jar{Secure: p.Site.Secure(), PerUser: p.Site.PerUser()}
}

// cookieHeader joins what HTTP/2 clients may send in several lines (RFC 9113 §8.2.3).
func cookieHeader(r *http.Request) string { return strings.Join(r.Header.Values("Cookie"), "; ") }

// revoke ends a session here at once and tells the other replicas. A user who logs out must
// not wait for a Kubernetes API that is away.
func (p *Pages) revoke(ctx context.Context, s session.Session) {
	ctx, cancel := context.WithTimeout(trail.As(context.WithoutCancel(ctx), s.User.Name), tellReplicas)
	defer cancel()
	if err := p.keeper.EndSession(ctx, s.User.Name, account.Session{ID: s.ID, Since: s.Since, Expires: s.Expires}); err != nil {
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
func (p *Pages) audit(r *http.Request, event telemetry.Event, method, username, msg string, attrs ...any) {
	telemetry.Audit(r.Context(), p.Log, event, msg, append([]any{"user", telemetry.UserText(username), "method", method,
		"client", telemetry.UserText(r.Header.Get(contract.HeaderClientAddress))}, attrs...)...)
}
