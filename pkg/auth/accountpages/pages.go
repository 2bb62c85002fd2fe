package accountpages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/trail"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// maxBody bounds forms and JSON bodies in bytes.
const maxBody = 16 << 10

// Keeper keeps sessions and tokens (*liveness.Keeper).
type Keeper interface {
	// Known reports whether the platform remembers user; Current is the user as the
	// directory described them last.
	Known(user string) bool
	Current(user access.User) access.User
	// Groups returns the members of each group that is known, in no order.
	Groups() map[string][]string
	// Trail is what happened to an account, latest last; it asks Kubernetes.
	Trail(ctx context.Context, user string) (trail.Trail, error)
	// Sessions lists open sessions, EndSession and EndAll end them everywhere.
	Sessions(user string) []account.Session
	EndSession(ctx context.Context, user string, s account.Session) error
	EndAll(ctx context.Context, user string) error
	// Tokens lists living API tokens; EndToken reports false when there is no such token.
	Tokens(user string) []account.Token
	AddToken(ctx context.Context, user string, t account.Token) error
	EndToken(ctx context.Context, user, id string) (bool, error)
}

// Settings is what the pages go by. Fields must all be set.
type Settings struct {
	Now func() time.Time
	Log *slog.Logger
}

// Pages answers the requests.
type Pages struct {
	keeper Keeper
	web    *web.Renderer
	Settings
}

// New returns the pages.
func New(keeper Keeper, pages *web.Renderer, s Settings) *Pages { return &Pages{keeper, pages, s} }

// Register adds the pages to mux.
func (p *Pages) Register(mux *http.ServeMux) {
	caller.Door{MaxBody: maxBody, Fail: p.fail}.Register(mux, p.pages(), contract.UpstreamLogin, p.operations())
}

func (p *Pages) pages() map[string]caller.Handler {
	return map[string]caller.Handler{
		"GET " + contract.PathToken:                  onlySessions(p.tokenPage),
		"POST " + contract.PathToken:                 onlySessions(p.tokenMake),
		"POST " + contract.PathToken + "/revoke":     onlySessions(p.tokenRevoke),
		"GET " + contract.PathSessions:               onlySessions(p.sessionsPage),
		"POST " + contract.PathSessions + "/end":     onlySessions(p.sessionEnd),
		"POST " + contract.PathSessions + "/end-all": onlySessions(p.sessionsEndAll),

		"GET " + pathAccount:               p.ofAnother(p.accountPage),
		"POST " + pathAccount + "/end":     p.ofAnother(p.accountEnd),
		"POST " + pathAccount + "/end-all": p.ofAnother(p.accountEndAll),
		"POST " + pathAccount + "/revoke":  p.ofAnother(p.accountRevoke),
	}
}

// operations are the REST paths that contract.Endpoints gives to this service.
func (p *Pages) operations() map[string]caller.Handler {
	return map[string]caller.Handler{
		contract.OpGroups:      p.apiGroups,
		contract.OpGroup:       p.apiGroup,
		contract.OpAddGroups:   p.apiChangeGroup,
		contract.OpAddGroup:    p.apiChangeGroup,
		contract.OpDeleteGroup: p.apiChangeGroup,
		contract.OpAddMembers:  p.apiChangeGroup,
		contract.OpDropMembers: p.apiChangeGroup,
		contract.OpProperties:  p.apiChangeGroup,
		contract.OpListTokens:  p.apiList,
		contract.OpMakeToken:   p.apiMake,
		contract.OpToken:       p.apiOne,
		contract.OpRevokeToken: p.apiRevoke,
		contract.OpEndSessions: p.apiEndSessions,
	}
}

var (
	errForeign  = errors.New("this belongs to somebody else")
	errNotFound = errors.New("there is no such thing")
	errPages    = errors.New("API tokens are good for the API, not for pages")
)

// badRequest is a request that says something impossible; its text is for programs.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// notHere is a request for what another system decides; its text is for programs.
type notHere string

func (n notHere) Error() string { return string(n) }

// onlySessions refuses API tokens: pages are for people (S12).
func onlySessions(next caller.Handler) caller.Handler {
	return func(w http.ResponseWriter, r *http.Request, v caller.Caller) error {
		if v.ByToken {
			return errPages
		}
		return next(w, r, v)
	}
}

// fail answers an error, as JSON below /hub/api, else as a page.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, v caller.Caller, err error) {
	status, title, text := http.StatusServiceUnavailable, "error.internal", "error.unwritten_text"
	var bad badRequest
	var elsewhere notHere
	switch {
	case errors.Is(err, caller.ErrAnonymous):
		status, title, text = http.StatusUnauthorized, "error.unauthorized", "error.unauthorized_text"
	case errors.Is(err, caller.ErrXSRF):
		status, title, text = http.StatusForbidden, "error.xsrf", "error.xsrf_text"
	case errors.Is(err, errForeign), errors.Is(err, errPages):
		status, title, text = http.StatusForbidden, "error.forbidden", "error.not_yours_text"
	case errors.Is(err, caller.ErrMethod):
		status, title, text = http.StatusMethodNotAllowed, "error.bad_request", "error.bad_request_text"
	case errors.Is(err, errNotFound):
		status, title, text = http.StatusNotFound, "error.not_found", "error.not_found_text"
	case errors.As(err, &elsewhere):
		status, title, text = http.StatusForbidden, "error.forbidden", "error.not_yours_text"
	case errors.As(err, &bad), errors.Is(err, account.ErrTooManyTokens):
		status, title, text = http.StatusBadRequest, "error.bad_request", "error.bad_request_text"
	default:
		// Kubernetes is away, or a defect: what was asked for may hold here already.
		p.Log.ErrorContext(r.Context(), "request failed", "user", v.Name, "error", err)
		err = errors.New("this could not be written; try again in a minute")
	}
	if status == http.StatusForbidden && elsewhere == "" {
		p.audit(r.Context(), v, telemetry.AccessRefused, "access refused", "reason", err.Error(), "path", telemetry.UserText(r.URL.EscapedPath()))
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60") // what the text says
	}
	if strings.HasPrefix(r.URL.Path, contract.PathAPI) {
		web.JSON(w, status, map[string]any{"status": status, "message": err.Error()})
		return
	}
	p.web.Page(w, r, status, web.Message{
		Status: status, Title: title, Text: text, User: v.Name, RequestID: telemetry.RequestID(r.Context()),
		ActionURL: contract.PathHome, Action: "error.back",
	})
}

func viewer(v caller.Caller) web.Viewer {
	return web.Viewer{Name: v.Name, DisplayName: v.DisplayName, Admin: v.Admin}
}

// wanted is what a caller asks of a new token.
type wanted struct {
	note   string
	scopes []string
	life   time.Duration
}

// make records a new token of v's and returns it; the token itself is in no other place.
func (p *Pages) make(ctx context.Context, v caller.Caller, w wanted) (string, account.Token, error) {
	owner := p.owner(v)
	scopes, err := access.ParseScopes(owner, w.scopes)
	if err != nil {
		return "", account.Token{}, badRequest(err.Error())
	}
	if v.ByToken && !access.Narrower(owner, scopes, v.Scopes) {
		return "", account.Token{}, badRequest("a token makes no token that may do more than itself")
	}
	if w.life <= 0 || w.life > tokens.MaxLifetime {
		return "", account.Token{}, badRequest("a token lives for at least a second and at most 90 days")
	}
	token, hash := tokens.New()
	now := p.Now().Truncate(time.Second)
	t := account.Token{ID: session.RandomID(), Hash: hash, Note: w.note, Scopes: scopes, Created: now, Expires: now.Add(w.life)}
	if err := p.keeper.AddToken(ctx, v.Name, t); err != nil {
		return "", account.Token{}, err
	}
	p.audit(ctx, v, telemetry.TokenCreated, "API token made", "token", t.ID, "scopes", telemetry.UserText(strings.Join(scopes, " ")), "expires", t.Expires)
	return token, t, nil
}

// owner is the caller as the directory described them last; which scopes they may ask for
// depends on it.
func (p *Pages) owner(v caller.Caller) access.User {
	u := p.keeper.Current(access.User{Name: v.Name, Admin: v.Admin})
	u.Admin = u.Admin && (v.Admin || v.ByToken)
	return u
}

// revoke ends a token of user.
func (p *Pages) revoke(ctx context.Context, v caller.Caller, user, id string) error {
	found, err := p.keeper.EndToken(ctx, user, id)
	if !found {
		return errNotFound
	}
	p.audit(ctx, v, telemetry.TokenRevoked, "API token revoked", "token", telemetry.UserText(id), "owner", telemetry.UserText(user))
	return err
}

func (p *Pages) audit(ctx context.Context, v caller.Caller, event telemetry.Event, msg string, attrs ...any) {
	telemetry.Audit(ctx, p.Log, event, msg, append([]any{"user", telemetry.UserText(v.Name), "by_token", v.ByToken}, attrs...)...)
}

// lines splits what was typed into a box, one entry a line.
func lines(text string) []string {
	return slices.DeleteFunc(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }), func(s string) bool {
		return strings.TrimSpace(s) == ""
	})
}
