package accountpages

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/logs"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

type env struct {
	*Pages
	keeper *liveness.Keeper
	mux    *http.ServeMux
	log    *bytes.Buffer
}

func newEnv(t *testing.T) env {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	client := locking.NewClientset()
	accounts := account.New(client, account.Settings{Namespace: "ns", Release: "rel", Now: now, Log: slog.New(slog.DiscardHandler)})
	k := liveness.New(accounts, revocation.New(client, revocation.Settings{Namespace: "ns", Secret: "rel-revocations", Now: now, Log: slog.New(slog.DiscardHandler)}),
		prometheus.NewRegistry(), liveness.Settings{Idle: time.Hour, Lifetime: 12 * time.Hour, Every: time.Minute, Now: now, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = accounts.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-accounts.Synced()
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	e := env{New(k, pages, Settings{Now: now, Log: log}), k, http.NewServeMux(), &out}
	e.Register(e.mux)
	return e
}

func (e env) login(t *testing.T, user, id string, admin bool) {
	t.Helper()
	_, err := e.keeper.LogIn(t.Context(), liveness.Login{
		User: access.User{Name: user, Admin: admin}, Links: []identity.Link{identity.Named(user)},
		Session: account.Session{
			ID: id, Method: "ldap", Since: now(), Expires: now().Add(12 * time.Hour), LastSeen: now(), Agent: "Mozilla/5.0 (X11; Linux x86_64) <b>" + id + " Firefox/140.0",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ended reports whether a session of user's is over.
func (e env) ended(id, user string) bool {
	_, ok := e.keeper.User(session.Session{User: access.User{Name: user}, ID: id, Since: now()})
	return !ok
}

// as makes a request the way authz and Envoy pass one on.
type as struct {
	user, session string
	admin         bool
	scopes        []string // not nil: with an API token
}

func (s env) do(who as, method, path string, body any) *httptest.ResponseRecorder {
	var r *http.Request
	switch b := body.(type) {
	case url.Values:
		b.Set(contract.XSRFName, "xsrf")
		r = httptest.NewRequest(method, path, strings.NewReader(b.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case string:
		r = httptest.NewRequest(method, path, strings.NewReader(b))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(contract.XSRFHeader, "xsrf")
	default:
		r = httptest.NewRequest(method, path, nil)
		r.Header.Set(contract.XSRFHeader, "xsrf")
	}
	if who.user != "" {
		r.Header.Set(contract.HeaderUser, who.user)
	}
	if who.scopes != nil {
		var encoded []string
		for _, scope := range who.scopes {
			encoded = append(encoded, contract.EncodeHeader(scope))
		}
		r.Header.Set(contract.HeaderScopes, strings.Join(encoded, " "))
		r.Header.Del(contract.XSRFHeader)
	} else {
		r.Header.Set(contract.HeaderXSRF, "xsrf")
		r.Header.Set(contract.HeaderSession, who.session)
	}
	if who.admin {
		r.Header.Set(contract.HeaderAdmin, "true")
	}
	w := httptest.NewRecorder()
	s.mux.ServeHTTP(w, r)
	return w
}

var tokenPattern = regexp.MustCompile(`hub_[A-Za-z0-9_-]{43}`)

func TestTokenIsShownOnce(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "s", false)
	alice := as{user: "alice", session: "s"}
	w := s.do(alice, "POST", "/hub/token", url.Values{"note": {"my <script>"}, "days": {"7"}, "scope": {"servers!user"}, "scopes": {"access:servers!server=alice/x\r\n\r\n"}})
	token := tokenPattern.FindString(w.Body.String())
	if w.Code != http.StatusCreated || token == "" || w.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	owner, made, ok := s.keeper.Token(token)
	if !ok || owner.Name != "alice" || strings.Join(made.Scopes, " ") != "access:servers!server=alice/x servers!user=alice" || !made.Expires.Equal(now().Add(7*24*time.Hour)) {
		t.Errorf("%+v %+v %v", owner, made, ok)
	}
	for _, again := range []*httptest.ResponseRecorder{s.do(alice, "GET", "/hub/token", nil), s.do(alice, "GET", "/hub/api/users/alice/tokens", nil)} {
		if text := again.Body.String(); strings.Contains(text, token) || strings.Contains(text, made.Hash) || !strings.Contains(text, "my ") {
			t.Errorf("%s", text)
		}
	}
	if text := s.log.String(); strings.Contains(text, token) || strings.Contains(text, made.Hash) || !strings.Contains(text, "API token made") {
		t.Errorf("the log says %s", text)
	}
	if w := s.do(alice, "POST", "/hub/token/revoke", url.Values{"id": {made.ID}}); w.Code != http.StatusSeeOther {
		t.Errorf("%d", w.Code)
	}
	if _, _, ok := s.keeper.Token(token); ok {
		t.Error("a revoked token is taken")
	}
	if w := s.do(alice, "POST", "/hub/token/revoke", url.Values{"id": {made.ID}}); w.Code != http.StatusSeeOther {
		t.Errorf("a second click: %d", w.Code)
	}
	logs.Audited(t, s.log.String(), telemetry.TokenCreated, telemetry.TokenRevoked)
}

func TestTokenFormRefusals(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "s", false)
	for name, form := range map[string]url.Values{
		"no scope":        {"days": {"7"}},
		"admin's scope":   {"days": {"7"}, "scope": {"admin:users"}},
		"unknown scope":   {"days": {"7"}, "scopes": {"everything"}},
		"no expiry":       {"scope": {"self"}},
		"for ever":        {"days": {"36500"}, "scope": {"self"}},
		"before it began": {"days": {"-1"}, "scope": {"self"}},
	} {
		w := s.do(as{user: "alice", session: "s"}, "POST", "/hub/token", form)
		if w.Code != http.StatusBadRequest || tokenPattern.MatchString(w.Body.String()) || len(s.keeper.Tokens("alice")) != 0 {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// TestRESTIsJupyterHubs walks through the life of a token as JupyterHub's clients do.
func TestRESTIsJupyterHubs(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "s", false)
	script := as{user: "alice", scopes: []string{"tokens!user=alice", "servers!user=alice"}}
	w := s.do(script, "POST", "/hub/api/users/alice/tokens", `{"note":"ci","expires_in":3600,"scopes":["servers!server=alice/ci"]}`)
	var made map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for key, want := range map[string]any{"user": "alice", "kind": "api_token", "note": "ci", "created": "2026-11-21T12:00:00Z", "expires_at": "2026-11-21T13:00:00Z", "last_activity": nil, "session_id": nil, "oauth_client": "JupyterHub"} {
		if got, ok := made[key]; !ok || got != want {
			t.Errorf("%s is %v", key, got)
		}
	}
	if got := fmt.Sprint(made["scopes"], made["roles"]); got != "[servers!server=alice/ci] []" || !tokenPattern.MatchString(fmt.Sprint(made["token"])) {
		t.Errorf("%s %v", got, made["token"])
	}
	one := "/hub/api/users/alice/tokens/" + fmt.Sprint(made["id"])
	var list struct {
		Tokens []map[string]any `json:"api_tokens"`
	}
	w = s.do(script, "GET", "/hub/api/users/alice/tokens", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list.Tokens) != 1 || list.Tokens[0]["token"] != nil {
		t.Errorf("%s", w.Body)
	}
	for _, step := range []struct {
		method string
		want   int
	}{{"GET", 200}, {"DELETE", 204}, {"GET", 404}, {"DELETE", 404}} {
		if w := s.do(script, step.method, one, nil); w.Code != step.want {
			t.Errorf("%s: %d %s", step.method, w.Code, w.Body)
		}
	}
	// Without a body a person gets all that they may do, for as long as there is.
	w = s.do(as{user: "alice", session: "s"}, "POST", "/hub/api/users/alice/tokens", nil)
	if err := json.Unmarshal(w.Body.Bytes(), &made); err != nil || fmt.Sprint(made["scopes"]) != "[inherit]" || made["expires_at"] != "2027-02-19T12:00:00Z" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestS13_RESTRefusals(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "s", false)
	s.login(t, "root", "r", true)
	_, hash := tokens.New()
	if err := s.keeper.AddToken(t.Context(), "alice", account.Token{ID: "hers", Hash: hash, Expires: now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	alice, mallory, root := as{user: "alice", session: "s"}, as{user: "mallory", session: "m"}, as{user: "root", session: "r", admin: true}
	for _, c := range []struct {
		name         string
		who          as
		method, path string
		body         any
		want         int
	}{
		{"another's list", mallory, "GET", "/hub/api/users/alice/tokens", nil, 403},
		{"another's token", mallory, "GET", "/hub/api/users/alice/tokens/hers", nil, 403},
		{"revoking another's", mallory, "DELETE", "/hub/api/users/alice/tokens/hers", nil, 403},
		{"making one in another's name", mallory, "POST", "/hub/api/users/alice/tokens", `{}`, 403},
		{"an administrator neither", root, "POST", "/hub/api/users/alice/tokens", `{}`, 403},
		{"an administrator's token sees only its owner's", as{user: "root", admin: true, scopes: []string{"inherit"}}, "GET", "/hub/api/users/alice/tokens", nil, 403},
		{"another's session", mallory, "DELETE", "/hub/api/users/alice/sessions", nil, 403},
		{"sessions with a token", as{user: "alice", scopes: []string{"inherit"}}, "DELETE", "/hub/api/users/alice/sessions", nil, 403},
		{"a page with a token", as{user: "alice", scopes: []string{"inherit"}}, "GET", "/hub/token", nil, 403},
		{"a form with a token", as{user: "alice", scopes: []string{"inherit"}}, "POST", "/hub/token", url.Values{"days": {"7"}, "scope": {"self"}}, 403},
		{"a stronger token", as{user: "alice", scopes: []string{"tokens!user=alice"}}, "POST", "/hub/api/users/alice/tokens", `{"scopes":["self"]}`, 400},
		{"a stronger token by leaving the scopes out", as{user: "alice", scopes: []string{"tokens!user=alice"}}, "POST", "/hub/api/users/alice/tokens", nil, 400},
		{"an admin's scope", alice, "POST", "/hub/api/users/alice/tokens", `{"scopes":["admin:servers"]}`, 400},
		{"roles", alice, "POST", "/hub/api/users/alice/tokens", `{"roles":["admin"]}`, 400},
		{"for ever", alice, "POST", "/hub/api/users/alice/tokens", `{"expires_in":99999999}`, 400},
		{"nothing at all", alice, "POST", "/hub/api/users/alice/tokens", ` null `, 400},
		{"never alive", alice, "POST", "/hub/api/users/alice/tokens", `{"expires_in":0}`, 400},
		{"overflow", alice, "POST", "/hub/api/users/alice/tokens", `{"expires_in":9223372036854775807}`, 400},
		{"no JSON", alice, "POST", "/hub/api/users/alice/tokens", `scopes=self`, 400},
		{"huge", alice, "POST", "/hub/api/users/alice/tokens", `{"note":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		{"nobody", as{}, "GET", "/hub/api/users/alice/tokens", nil, 401},
		{"an administrator sees", root, "GET", "/hub/api/users/alice/tokens/hers", nil, 200},
		{"an administrator revokes", root, "DELETE", "/hub/api/users/alice/tokens/hers", nil, 204},
		{"an administrator ends sessions", root, "DELETE", "/hub/api/users/alice/sessions", nil, 204},
		{"of nobody", root, "DELETE", "/hub/api/users/nobody/sessions", nil, 404},
	} {
		before := s.log.Len()
		if w := s.do(c.who, c.method, c.path, c.body); w.Code != c.want {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
		if audited := strings.Contains(s.log.String()[before:], `msg="access refused" audit=true event=access.refused user=`+c.who.user); audited != (c.want == 403) {
			t.Errorf("%s: audited %v", c.name, audited)
		}
	}
	if !s.ended("s", "alice") || s.ended("r", "root") {
		t.Error("the wrong sessions ended")
	}
}

func TestS9_FormsNeedTheirToken(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "s", false)
	patterns := slices.Collect(maps.Keys(s.pages()))
	for _, e := range contract.EndpointsOf(contract.UpstreamLogin) {
		patterns = append(patterns, e.Pattern())
	}
	for _, pattern := range patterns {
		method, path, _ := strings.Cut(pattern, " ")
		if method == "GET" {
			continue
		}
		path = strings.NewReplacer("{user}", "alice", "{id}", "x").Replace(path)
		r := httptest.NewRequest(method, path, strings.NewReader("days=7&scope=self"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(contract.HeaderUser, "alice")
		r.Header.Set(contract.HeaderXSRF, "xsrf")
		w := httptest.NewRecorder()
		s.mux.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s without the form's token: %d", pattern, w.Code)
		}
	}
	if len(s.keeper.Tokens("alice")) != 0 || s.ended("s", "alice") {
		t.Error("something was done")
	}
}

func TestSessionsPage(t *testing.T) {
	s := newEnv(t)
	for _, id := range []string{"one", "two", "three"} {
		s.login(t, "alice", id, false)
	}
	s.login(t, "mallory", "m", false)
	alice := as{user: "alice", session: "two"}
	text := s.do(alice, "GET", "/hub/sessions", nil).Body.String()
	if strings.Count(text, "Firefox on Linux") != 3 || strings.Contains(text, "Mozilla") || strings.Count(text, "This browser") != 1 || strings.Contains(text, `value="m"`) {
		t.Errorf("%s", text)
	}
	// A foreign ID ends nothing.
	s.do(as{user: "mallory", session: "m"}, "POST", "/hub/sessions/end", url.Values{"id": {"one"}})
	if s.ended("one", "alice") {
		t.Error("mallory ended alice's session")
	}
	if w := s.do(alice, "POST", "/hub/sessions/end", url.Values{"id": {"one"}}); w.Code != http.StatusSeeOther || !s.ended("one", "alice") || s.ended("three", "alice") {
		t.Errorf("%d", w.Code)
	}
	w := s.do(alice, "POST", "/hub/sessions/end-all", url.Values{})
	logs.Audited(t, s.log.String(), telemetry.SessionRevoked, telemetry.AllSessionsRevoked)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/hub/login" || !s.ended("two", "alice") || !s.ended("three", "alice") || s.ended("m", "mallory") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestEveryEndpointHasItsHandler: the table of endpoints and the handlers name the same
// operations, and no page hides below the API, where no scope would guard it (S12).
func TestEveryEndpointHasItsHandler(t *testing.T) {
	p := &Pages{}
	named := map[string]bool{}
	for _, e := range contract.EndpointsOf(contract.UpstreamLogin) {
		named[e.Operation] = true
		if p.operations()[e.Operation] == nil {
			t.Errorf("%s (%s) has no handler", e.Pattern(), e.Operation)
		}
	}
	for operation := range p.operations() {
		if !named[operation] {
			t.Errorf("%s has no path", operation)
		}
	}
	for pattern := range p.pages() {
		if strings.Contains(pattern, contract.PathAPI) {
			t.Errorf("%s is below the API and not in its table", pattern)
		}
	}
}
