package login

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/revocation"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/keys"
	"github.com/perijove/perijove/test/locking"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/wait"
)

func now() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// revoked is a real Keeper whose ends of sessions are kept in memory and can fail.
type revoked struct {
	*liveness.Keeper
	mu  sync.Mutex
	ids map[string]time.Time
	err error
}

func (r *revoked) User(s session.Session) (access.User, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, over := r.ids[s.ID]; over {
		return access.User{}, false
	}
	return r.Keeper.User(s)
}

func (r *revoked) EndSession(_ context.Context, _ string, s account.Session) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[s.ID] = s.Expires
	return r.err
}

type env struct {
	*Pages
	mux   *http.ServeMux
	list  *revoked
	log   *bytes.Buffer
	asked []string // what the Checker was asked
	entry string   // begins the ids of the directory's entries; another one: they are other persons
}

func newEnv(t *testing.T) *env {
	t.Helper()
	sessions, passes := keys.Sessions(t), keys.Passes(t)
	renderer, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	site, err := origin.Parse("https://hub.test", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &env{mux: http.NewServeMux(), log: &bytes.Buffer{}}
	log := slog.New(slog.NewJSONHandler(s.log, nil))
	s.list = &revoked{Keeper: keeper(log), ids: map[string]time.Time{}}
	s.Pages = New(s.list, sessions, passes, renderer, prometheus.NewRegistry(), Settings{
		Check: s.check, Method: "ldap", Site: site, Lifetime: time.Hour, PassTTL: time.Minute, Now: now, Log: log,
	})
	s.Register(s.mux)
	return s
}

// keeper remembers users in a Kubernetes that is empty.
func keeper(log *slog.Logger) *liveness.Keeper {
	client := locking.NewClientset()
	return liveness.New(
		account.New(client, account.Settings{Namespace: "perijove", Release: "perijove", Now: now, Log: log}),
		revocation.New(client, revocation.Settings{Namespace: "perijove", Secret: "revocations", Now: now, Log: log}),
		prometheus.NewRegistry(), liveness.Settings{Idle: time.Hour, Lifetime: time.Hour, Every: time.Minute, Now: now, Log: log})
}

func (s *env) check(_ context.Context, username, password string) (Proof, error) {
	s.asked = append(s.asked, username)
	switch {
	case username == "down":
		return Proof{}, fmt.Errorf("%w: connection refused", access.ErrUnavailable)
	case password != username+"-password":
		return Proof{}, access.ErrCredentials
	case username == "dave":
		return Proof{}, access.ErrNotAllowed
	}
	name := strings.ToLower(username)
	links := []identity.Link{identity.Entry("entryUUID", s.entry+name), identity.Named(name)}
	return Proof{User: access.User{Name: name, Admin: username == "carol"}, Links: links}, nil
}

// browser keeps cookies as a browser does, by name and path.
type browser struct {
	*env
	t       *testing.T
	cookies map[string]*http.Cookie
}

func (s *env) browser(t *testing.T) *browser {
	return &browser{s, t, map[string]*http.Cookie{}}
}

func (b *browser) do(method, target, body string, header map[string]string) *http.Response {
	b.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Host = "hub.test"
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "https://hub.test")
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	for _, c := range b.cookies {
		if strings.HasPrefix(req.URL.Path, c.Path) {
			req.Header.Add("Cookie", c.Name+"="+c.Value)
		}
	}
	for k, v := range header {
		if req.Header.Del(k); v != "" {
			req.Header.Set(k, v)
		}
	}
	rec := httptest.NewRecorder()
	b.mux.ServeHTTP(rec, req)
	res := rec.Result()
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Domain != "" {
			b.t.Errorf("S4: cookie %q", c.Raw)
		}
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name+c.Path)
			continue
		}
		b.cookies[c.Name+c.Path] = c
	}
	return res
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func token(t *testing.T, res *http.Response) string {
	t.Helper()
	m := regexp.MustCompile(`name="_xsrf" value="([^"]*)"`).FindStringSubmatch(body(t, res))
	if m == nil {
		t.Fatal("the page has no form token")
	}
	return m[1]
}

func (b *browser) post(username, password, next string, header map[string]string) *http.Response {
	b.t.Helper()
	xsrf := token(b.t, b.do("GET", "/hub/login", "", nil))
	form := url.Values{"username": {username}, "password": {password}, "next": {next}, contract.XSRFName: {xsrf}}
	return b.do("POST", "/hub/login", form.Encode(), header)
}

func (b *browser) session() (session.Session, bool) {
	c := b.cookies[contract.CookieSession+contract.PathHub]
	if c == nil {
		return session.Session{}, false
	}
	return b.Pages.open(c.Value)
}

func TestLoginAndWhereItLeads(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]struct{ location, passPath string }{
		"":                               {"/hub/", ""},
		"/hub/spawn?profile=x":           {"/hub/spawn?profile=x", ""},
		"/user/alice/lab?reset":          {"/user/alice/lab?reset", "/user/alice/"},
		"/user/alice/":                   {"/user/alice/", "/user/alice/"},
		"/user/alice":                    {"/user/alice/", "/user/alice/"},
		"/user/alice?a=b":                {"/user/alice/?a=b", "/user/alice/"},
		"/user/%61lice/lab":              {"/user/alice/lab", "/user/alice/"},
		"/user/alice/.hidden;x":          {"/user/alice/.hidden;x", "/user/alice/"},
		"//evil.test":                    {"/hub/", ""},
		"https://evil.test/":             {"/hub/", ""},
		"/user/alice/..%2f..%2fhub":      {"/hub/", ""},
		"/user/":                         {"/hub/", ""},
		"/hub/login?next=/hub/login":     {"/hub/", ""},
		"/hub/logout":                    {"/hub/", ""},
		"/hub/logout/":                   {"/hub/", ""},
		"/hub/login/x?next=%2Fhub%2F":    {"/hub/", ""},
		"/hub/loginx":                    {"/hub/loginx", ""},
		"/elsewhere":                     {"/elsewhere", ""},
		"javascript:alert(1)":            {"/hub/", ""},
		"/user/alice/lab\r\nSet-Cookie:": {"/hub/", ""},
	} {
		b := newEnv(t).browser(t)
		res := b.post("alice", "alice-password", next, nil)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != want.location {
			t.Errorf("next %q: %d to %q", next, res.StatusCode, res.Header.Get("Location"))
		}
		if s, ok := b.session(); !ok || s.User.Name != "alice" || s.Method != "ldap" || !s.Expires.Equal(now().Add(time.Hour)) {
			t.Errorf("next %q: session %+v", next, s)
		}
		gotPass := b.cookies[contract.CookiePass+want.passPath]
		if (gotPass != nil) != (want.passPath != "") {
			t.Errorf("next %q: pass %v", next, gotPass)
		}
		if gotPass != nil {
			if p, state := b.passes.Verify(gotPass.Value, now()); state != pass.Valid || p.Owner != "alice" || p.Session.User.Name != "alice" {
				t.Errorf("next %q: pass %+v is %v", next, p, state)
			}
		}
		// With the session the login page leads on by itself, to the same place.
		if res := b.do("GET", "/hub/login?next="+url.QueryEscape(next), "", nil); res.StatusCode != http.StatusFound || res.Header.Get("Location") != want.location {
			t.Errorf("next %q, second time: %d to %q", next, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

func TestNamesWithTwoSpellings(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{"/user/a@x.org/lab": "/user/a@x.org/lab", "/user/a%40x.org/lab": "/user/a%40x.org/lab", "/user/%61@x.org/": "/user/a@x.org/"} {
		b := newEnv(t).browser(t)
		res := b.post("a@x.org", "a@x.org-password", next, nil)
		if res.Header.Get("Location") != want || b.cookies[contract.CookiePass+"/user/a@x.org/"] == nil || b.cookies[contract.CookiePass+"/user/a%40x.org/"] == nil {
			t.Errorf("%s: %s, %v", next, res.Header.Get("Location"), b.cookies)
		}
	}
}

func TestSomebodyElsesServerIsRefusedWithoutARedirect(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	for _, res := range []*http.Response{
		b.post("bob", "bob-password", "/user/alice/lab", nil), b.do("GET", "/hub/login?next=/user/alice/lab", "", nil),
	} {
		if res.StatusCode != http.StatusForbidden || res.Header.Get("Location") != "" {
			t.Errorf("%d to %q", res.StatusCode, res.Header.Get("Location"))
		}
	}
	for name := range b.cookies {
		if strings.HasPrefix(name, contract.CookiePass) {
			t.Errorf("bob got the pass %s", name)
		}
	}
	if s, ok := b.session(); !ok || s.User.Name != "bob" {
		t.Error("bob is not logged in for his own pages")
	}
	if res := newEnv(t).browser(t).post("carol", "carol-password", "/user/alice/lab", nil); res.Header.Get("Location") != "/user/alice/lab" {
		t.Errorf("administrator: %d to %q", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		username, password string
		status             int
		text               string
		asked              int
	}{
		"wrong password":  {"alice", "x", 403, "User name or password is wrong", 1},
		"unknown user":    {"mallory", "x", 403, "User name or password is wrong", 1},
		"not allowed":     {"dave", "dave-password", 403, "you may not use this platform", 1},
		"directory down":  {"down", "x", 503, "does not answer", 1},
		"L4 no password":  {"alice", "", 403, "User name or password is wrong", 0},
		"no name":         {"", "x", 400, "User name or password is wrong", 0},
		"D5 long name":    {strings.Repeat("a", 256), "x", 400, "User name or password is wrong", 0},
		"D5 name of 1 MB": {strings.Repeat("a", 1<<20), "x", 400, "Bad request", 0},
	} {
		b := newEnv(t).browser(t)
		res := b.post(c.username, c.password, "/user/alice/lab", nil)
		text := body(t, res)
		if res.StatusCode != c.status || !strings.Contains(text, c.text) || len(b.asked) != c.asked {
			t.Errorf("%s: %d, asked %q, page %.300q", name, res.StatusCode, b.asked, text)
		}
		if _, ok := b.session(); ok || len(b.cookies) != 1 {
			t.Errorf("%s: cookies %v", name, b.cookies)
		}
		if c.password != "" && strings.Contains(b.log.String(), c.password+`"`) {
			t.Errorf("S14 %s: the log shows the password: %s", name, b.log)
		}
		if (c.status == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", name, res.Header.Get("Retry-After"))
		}
		for line := range strings.SplitSeq(b.log.String(), "\n") {
			if len(line) > 800 {
				t.Errorf("D5 %s: a log line has %d bytes", name, len(line))
			}
		}
	}
	b := newEnv(t).browser(t)
	if text := body(t, b.post(`"><script>alert(1)</script>`, "x", `/hub/"><script>`, nil)); strings.Contains(text, "<script>alert") {
		t.Error("the page repeats the name unescaped")
	}
}

func TestS7_ForeignFormsDoNotLogIn(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]func(*browser, url.Values) *http.Response{
		"another site": func(b *browser, f url.Values) *http.Response {
			return b.do("POST", "/hub/login", f.Encode(), map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"})
		},
		"another site, old browser": func(b *browser, f url.Values) *http.Response {
			return b.do("POST", "/hub/login", f.Encode(), map[string]string{"Sec-Fetch-Site": "", "Origin": "https://evil.test"})
		},
		"sibling site": func(b *browser, f url.Values) *http.Response {
			return b.do("POST", "/hub/login", f.Encode(), map[string]string{"Sec-Fetch-Site": "same-site"})
		},
		"no-cors (CVE-2026-40864)": func(b *browser, f url.Values) *http.Response {
			return b.do("POST", "/hub/login", f.Encode(), map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})
		},
		"no token": func(b *browser, f url.Values) *http.Response {
			f.Del(contract.XSRFName)
			return b.do("POST", "/hub/login", f.Encode(), nil)
		},
		"another browser's token": func(b *browser, f url.Values) *http.Response {
			f.Set(contract.XSRFName, token(b.t, b.env.browser(b.t).do("GET", "/hub/login", "", nil)))
			return b.do("POST", "/hub/login", f.Encode(), nil)
		},
		"no pre-session cookie": func(b *browser, f url.Values) *http.Response {
			b.cookies = map[string]*http.Cookie{}
			return b.do("POST", "/hub/login", f.Encode(), nil)
		},
		"token in the address": func(b *browser, f url.Values) *http.Response {
			x := f.Get(contract.XSRFName)
			f.Del(contract.XSRFName)
			return b.do("POST", "/hub/login?_xsrf="+x, f.Encode(), nil)
		},
		"JSON as text/plain (S9)": func(b *browser, f url.Values) *http.Response {
			return b.do("POST", "/hub/login", f.Encode(), map[string]string{"Content-Type": "text/plain"})
		},
	} {
		b := newEnv(t).browser(t)
		form := url.Values{"username": {"alice"}, "password": {"alice-password"}, contract.XSRFName: {token(t, b.do("GET", "/hub/login", "", nil))}}
		res := attack(b, form)
		if _, ok := b.session(); ok || res.StatusCode != http.StatusForbidden || len(b.asked) > 0 {
			t.Errorf("%s: %d, asked %q", name, res.StatusCode, b.asked)
		}
		logs.Audited(t, b.log.String(), telemetry.LoginRefused)
	}
}

func TestTwoTabsShareOnePreSession(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	first := token(t, b.do("GET", "/hub/login", "", nil))
	if second := token(t, b.do("GET", "/hub/login?next=/hub/home", "", nil)); first != second {
		t.Error("opening a second tab breaks the first one's form")
	}
	b.cookies[contract.CookieLogin+contract.PathLogin].Value = "short"
	if third := token(t, b.do("GET", "/hub/login", "", nil)); third == first || b.cookies[contract.CookieLogin+contract.PathLogin].Value == "short" {
		t.Error("a planted pre-session cookie is kept")
	}
}

func TestS1_NewSessionAndTheOldOneEnds(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	b.post("alice", "alice-password", "", nil)
	first, _ := b.session()
	old := *b.cookies[contract.CookieSession+contract.PathHub]
	form := url.Values{"username": {"alice"}, "password": {"alice-password"}}
	form.Set(contract.XSRFName, token(t, b.env.browser(t).do("GET", "/hub/login", "", nil)))
	// A form that was open before: its pre-session cookie is gone, hence a fresh one.
	pre := session.RandomID()
	b.cookies[contract.CookieLogin+contract.PathLogin] = &http.Cookie{Name: contract.CookieLogin, Value: pre, Path: contract.PathLogin}
	form.Set(contract.XSRFName, b.sessions.LoginToken(pre))
	b.do("POST", "/hub/login", form.Encode(), nil)
	second, ok := b.session()
	if !ok || first.ID == second.ID {
		t.Errorf("session id %q after %q", second.ID, first.ID)
	}
	if _, ok := b.Pages.open(old.Value); ok {
		t.Error("the old session is still good")
	}
}

func TestS2_TwoSessionCookies(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	b.post("alice", "alice-password", "", nil)
	c := b.cookies[contract.CookieSession+contract.PathHub]
	res := b.do("GET", "/hub/login", "", map[string]string{"Cookie": c.Name + "=" + c.Value + "; " + c.Name + "=planted"})
	if res.StatusCode != http.StatusOK || res.Header.Get("Location") != "" {
		t.Errorf("%d to %q", res.StatusCode, res.Header.Get("Location"))
	}
	if set := strings.Join(res.Header.Values("Set-Cookie"), "\n"); !strings.Contains(set, "Path=/hub;") || !strings.Contains(set, "Path=/;") {
		t.Errorf("the planted cookie is not removed: %s", set)
	}
}

// TestTooManyAtOnce: a login waits for its turn, and is told the truth when none comes.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	s.queueWait = 10 * time.Millisecond
	fill := func(slots chan struct{}) (empty func()) {
		for range cap(slots) {
			slots <- struct{}{}
		}
		return func() {
			for range cap(slots) {
				<-slots
			}
		}
	}
	for name, slots := range map[string]chan struct{}{"directory": s.checking, "queue": s.queue} {
		empty := fill(slots)
		res := s.browser(t).post("alice", "alice-password", "", nil)
		if text := body(t, res); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "Many people are logging in") || res.Header.Get("Retry-After") == "" || len(s.asked) > 0 {
			t.Errorf("%s full: %d %.300s", name, res.StatusCode, text)
		}
		empty()
	}
	s.queueWait = 10 * time.Second
	empty := fill(s.checking)
	b, answered := s.browser(t), make(chan int, 1)
	go func() { answered <- b.post("alice", "alice-password", "", nil).StatusCode }()
	wait.Until(t, "the login waits", func() bool { return len(s.queue) == 1 })
	empty()
	if code := <-answered; code != http.StatusSeeOther {
		t.Errorf("a turn came, and %d", code)
	}
	if res := s.browser(t).post("bob", "bob-password", "", nil); res.StatusCode != http.StatusSeeOther || len(s.queue)+len(s.checking) != 0 {
		t.Errorf("%d, %d in the queue, %d being checked", res.StatusCode, len(s.queue), len(s.checking))
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	t.Parallel()
	b := newEnv(t).browser(t)
	for path, want := range map[string]int{"/hub/login/x": 404, "/hub/logoutx": 404, "/": 404} {
		if res := b.do("GET", path, "", nil); res.StatusCode != want {
			t.Errorf("%s: %d", path, res.StatusCode)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if res := b.do(method, "/hub/login", "", nil); res.StatusCode < 400 {
			t.Errorf("%s: %d", method, res.StatusCode)
		}
	}
	res := b.do("GET", "/hub/login", "", nil)
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("S8: %v", res.Header)
	}
}

func FuzzDestination(f *testing.F) {
	for _, next := range []string{"/user/alice", "/user/%61lice/x?y", "//e", "/user//x", "/hub/login", "/user/%E5%BC%A0/"} {
		f.Add(next)
	}
	f.Fuzz(func(t *testing.T, next string) {
		target, owner := destination(next)
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.ContainsAny(target, "\\\r\n\t ") {
			t.Fatalf("%q leads to %q", next, target)
		}
		if owner == "" {
			return
		}
		covered := false
		for _, p := range pass.Paths(owner) {
			covered = covered || strings.HasPrefix(target, p)
		}
		if !covered {
			t.Fatalf("%q leads to %q, where the pass for %q is not sent", next, target, owner)
		}
	})
}
