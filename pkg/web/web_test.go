package web

import (
	"compress/gzip"
	"encoding/json"
	"html/template"
	"io"
	"io/fs"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jba/templatecheck"

	"github.com/perijove/perijove/pkg/server/trail"
)

// hostile is a name that tries every way out of HTML text and attributes.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'{{.}}`

// samples holds every page struct with every branch of its template switched on.
func samples(name string) map[string]Page {
	v := Viewer{Name: name, DisplayName: name}
	line := Line{ID: "failure.crash", Data: map[string]string{"Code": name}, Detail: name}
	return map[string]Page{
		"login":           Login{Password: true, Action: "/hub/login", Next: "/user/" + name, XSRF: name, Username: name, Error: "login.invalid"},
		"login empty":     Login{},
		"login, both":     Login{Password: true, XSRF: name, Username: name, Providers: []Provider{{Name: name, URL: "/hub/oauth_login/x?next=" + name}}},
		"login, provider": Login{Providers: []Provider{{Name: name, URL: "javascript:alert(1)"}}},
		"logout goes on":  Logout{Done: true, Next: &Provider{Name: name, URL: "https://op.test/?" + name}},
		"logout":          Logout{XSRF: name},
		"logout done":     Logout{Done: true},
		"message":         Message{Status: 403, Title: "error.forbidden", Text: "error.not_running_text", Data: map[string]string{"User": name}, ActionURL: "/hub/home?x=" + name, Action: "error.back", RequestID: name, User: name},
		"message bare":    Message{Title: "error.forbidden", Text: "error.forbidden_text"},
		"home":            Home{Viewer: v, XSRF: name, Servers: servers(name), Usage: []Usage{{Resource: name, Data: map[string]string{"Rule": name, "Used": name}, Most: 1, Shared: true}}, Profiles: []Profile{{Slug: name, DisplayName: name}}, NewURL: "/n"},
		"spawn":           Spawn{Viewer: v, XSRF: name, Action: "/hub/spawn/" + name, Next: name, Owner: name, Server: name, Profiles: []Profile{Profile{Slug: name, DisplayName: name, Description: name, Image: name, CPU: name, Memory: name, Storage: name}}},
		"pending":         Pending{Viewer: v, XSRF: name, Owner: name, Server: name, Percent: 40, Now: line, Log: []Line{line, line}, ProgressURL: "/hub/api/" + name, ReadyURL: "/user/" + name, StopAction: "/hub/stop/" + name, Next: name},
		"pending failed":  Pending{Viewer: v, XSRF: name, Now: line, Log: []Line{line}, Wrote: name, WroteBefore: name, Failed: true, RetryAction: "/hub/spawn/" + name, StopAction: "/hub/stop/" + name, Next: name, RequestID: name},
		"pending no data": Pending{},
		"token": Token{Viewer: v, XSRF: name, Action: "/hub/token", RevokeAction: "/hub/token/revoke", Made: name, MadeNote: name, Error: "token.bad_scopes", Note: name, More: name, Days: []int{1, 7},
			Scopes: []ScopeChoice{{name, "token.scope_access", true}, {name, "token.scope_read", false}},
			Tokens: []TokenLine{{name, name, []string{name}, time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)}, {ID: name}}},
		"token empty":    Token{},
		"sessions":       Sessions{Viewer: v, XSRF: name, EndAction: "/hub/sessions/end", EndAllAction: "/hub/sessions/end-all", Sessions: []SessionLine{{name, true, time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0), name, name, name}, {ID: name, Browser: name}, {ID: name, System: name}, {ID: name}}},
		"sessions empty": Sessions{},
		"admin": Admin{Viewer: v, XSRF: name, Action: "/hub/admin", Back: name, Search: name, States: []Choice{{Value: name, Label: "admin.state_failed", Selected: true}},
			Profiles: []Choice{{Value: name, Label: name, Selected: true}}, Sort: name, Columns: []Column{{"admin.person", "/hub/admin?q=" + name, "ascending"}, {"admin.started", "/", "descending"}},
			People: []Person{{name, "/hub/admin/users/" + name, servers(name)}}, Previous: "/hub/admin?q=" + name, Next: "/hub/admin?q=" + name},
		"admin empty": Admin{},
		"admin user": AdminUser{Viewer: v, XSRF: name, Back: name, Person: Person{Name: name, Servers: servers(name)}, Account: true, Groups: []string{name}, DeleteURL: "/d/" + name, SessionsURL: "/s/" + name, Trail: []TrailLine{{time.Unix(1, 0), "trail.started", name, name}, {}},
			Usage: []Usage{{Resource: name, Data: map[string]string{"Rule": name, "Used": name}, Most: 1, Shared: true}}},
		"admin user, none": AdminUser{},
		"account": Account{Viewer: v, XSRF: name, Name: name, DisplayName: name, Groups: []string{name}, Admin: true, PersonURL: "/p/" + name, EndAction: "/e/" + name, EndAllAction: "/a/" + name, RevokeAction: "/r/" + name,
			Sessions: []SessionLine{{name, true, time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0), name, name, name}, {ID: name}},
			Tokens:   []TokenLine{{name, name, []string{name}, time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)}, {ID: name}}, Trail: []TrailLine{{time.Unix(1, 0), "trail.logged_in", name, name}}},
		"quotas": AdminQuotas{Viewer: v, Quotas: []Quota{{Name: name, Groups: []string{name}, Users: []string{name}, Together: true, Unknown: true,
			Usage: []Usage{{Resource: name, Most: 1}}, Limits: []Usage{{Resource: name, Data: map[string]string{"Most": name}, Most: 1}}, Biggest: []QuotaUser{{name, "/u/" + name, []Usage{{Resource: name}}}}}, {}}},
		"messages": AdminMessages{Viewer: v, XSRF: name, Action: "/m", Error: "messages.bad", English: name, Chinese: name, Warning: true, Hours: []int{1}, MaxText: 5,
			Messages: []MessageLine{{name, name, true, time.Unix(1, 0), time.Unix(2, 0), name, name, "/r/" + name}, {}}},
		"cluster": AdminCluster{Viewer: v, Unknown: true, Plot: Plot{Lines: []string{name}, Marks: []Mark{{1, name}}, Times: []Mark{{1, name}}, Points: []Point{{time.Unix(1, 0), 3}}},
			Nodes: []Node{{Name: name, State: "cluster.ready", Servers: 3, Waiting: 2, Shares: []Usage{{Resource: "resource.cpu", Data: map[string]string{"Used": name}, Most: 1}}}}},
		"cluster, none": AdminCluster{},
		"quotas, none":  AdminQuotas{},
		"account, none": Account{},
		"log":           Log{Viewer: v, Owner: name, Server: name, Display: name, State: StateFailed, Now: name, Before: name, Steps: []Line{line}, Again: "/l/" + name},
		"log empty":     Log{Unknown: true},
		"delete user":   DeleteUser{Viewer: v, XSRF: name, Action: "/hub/delete-user/" + name, User: name, Servers: servers(name)},
	}
}

func servers(name string) []Server {
	var out []Server
	for _, state := range []ServerState{StateStopped, StatePending, StateReady, StateStopping, StateFailed} {
		out = append(out, Server{Name: name, Title: name, Profile: name, Pod: name, RestartURL: "/r/" + name, LogURL: "/l/" + name, Used: time.Unix(1, 0), Meters: []Meter{{Label: "home.cpu", Text: "home.cpu_of", Words: map[string]string{"Used": name, "Most": name}, Bounded: true}}, DeleteURL: "/d/" + name, State: state, Started: time.Unix(1, 0), OpenURL: "/user/" + name, PendingURL: "/p", SpawnURL: "/s", StopURL: "/t"})
	}
	return append(out, Server{State: StateStopped})
}

// TestTemplatesMatchPages type-checks each template against its page struct: a
// renamed field fails here and not in front of a user.
func TestTemplatesMatchPages(t *testing.T) {
	r := renderer(t)
	for _, l := range r.languages {
		for _, p := range []Page{Login{}, Logout{}, Message{}, Home{}, Spawn{}, Pending{}, Token{}, Sessions{}, DeleteUser{}, Admin{}, AdminUser{}, Account{}, AdminQuotas{}, AdminMessages{}, AdminCluster{}} {
			if err := templatecheck.CheckHTML(l.pages[p.template()], p); err != nil {
				t.Errorf("%s in %s: %v", p.template(), l.tag, err)
			}
		}
	}
	broken := template.Must(template.New("x").Parse(`{{.NoSuchField}}`))
	if templatecheck.CheckHTML(broken, Login{}) == nil {
		t.Error("negative control: the checker accepts an unknown field")
	}
}

// TestS6_PagesEscape renders every page in every language with hostile names.
func TestS6_PagesEscape(t *testing.T) {
	r := renderer(t)
	r.Announce(func(string) []Announcement { return []Announcement{{hostile, true}, {hostile, false}} })
	for _, lang := range []string{"en", "zh-CN"} {
		for name, p := range samples(hostile) {
			body, err := r.HTML(lang, p)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, bad := range []string{"<script>alert", "<img src=x"} {
				if strings.Contains(string(body), bad) {
					t.Errorf("%s (%s) lets %q through", name, lang, bad)
				}
			}
			if regexp.MustCompile(`style="|onclick=|javascript:`).Match(body) {
				t.Errorf("%s (%s) needs inline style or script, which its CSP forbids", name, lang)
			}
		}
	}
}

func TestDangerousLinksAreDefused(t *testing.T) {
	body, err := renderer(t).HTML("en", Message{Title: "error.internal", Text: "x", ActionURL: "javascript:alert(1)", Action: "error.back"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "javascript:alert") {
		t.Error("a javascript: link was rendered")
	}
}

// TestTextsAreComplete: both languages know the same messages with the same values, and
// every message that a template names exists.
func TestTextsAreComplete(t *testing.T) {
	en, zh := texts(t, "en"), texts(t, "zh-Hans")
	value := regexp.MustCompile(`\{\{\.\w+\}\}`)
	for id, s := range en {
		if zh[id] == "" {
			t.Errorf("zh-Hans lacks %s", id)
			continue
		}
		if a, b := len(value.FindAllString(s, -1)), len(value.FindAllString(zh[id], -1)); a != b {
			t.Errorf("%s has %d values in en and %d in zh-Hans", id, a, b)
		}
	}
	for id := range zh {
		if en[id] == "" {
			t.Errorf("en lacks %s", id)
		}
	}
	for _, name := range templates(t) {
		src, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\bt "([^"]+)"`).FindAllStringSubmatch(string(src), -1) {
			if en[m[1]] == "" {
				t.Errorf("%s names the unknown message %s", name, m[1])
			}
		}
	}
	for _, w := range trail.All() {
		if en["trail."+string(w)] == "" {
			t.Errorf("no text for the event %s", w)
		}
	}
	for _, s := range servers("") {
		if en[s.State.MessageID()] == "" {
			t.Errorf("no text for state %s", s.State)
		}
	}
}

// templates returns the paths of all templates.
func templates(t *testing.T) []string {
	t.Helper()
	all, err := fs.Glob(files, "templates/*.html")
	parts, partsErr := fs.Glob(files, "templates/parts/*.html")
	if err != nil || partsErr != nil || len(all) == 0 || len(parts) == 0 {
		t.Fatal(all, err, parts, partsErr)
	}
	return append(all, parts...)
}

func TestLanguageFollowsTheBrowser(t *testing.T) {
	r := renderer(t)
	for accept, want := range map[string]string{
		"":                           "Log in",
		"en-GB,en;q=0.8":             "Log in",
		"zh-CN,zh;q=0.9,en;q=0.8":    "登录",
		"zh-Hans":                    "登录",
		"fr":                         "Log in",
		";;;":                        "Log in",
		strings.Repeat("zh,", 1<<16): "Log in",
	} {
		if got := r.Text(accept, "login.title", nil); got != want {
			t.Errorf("Accept-Language %.30q: got %q, want %q", accept, got, want)
		}
	}
	if got := r.Text("en", "no.such", nil); got != "no.such" {
		t.Errorf("unknown id: got %q", got)
	}
	if got := r.Text("en", "failure.crash", map[string]string{"Code": "<137>"}); !strings.Contains(got, "<137>") {
		t.Errorf("plain text must not be HTML-escaped twice: %q", got)
	}
}

func TestPageHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Set-Cookie", "a=b")
	renderer(t).Page(w, httptest.NewRequest("GET", "/", nil), 418, Logout{Done: true})
	if w.Code != 418 || w.Header().Get("Set-Cookie") != "a=b" {
		t.Errorf("status %d, headers %v", w.Code, w.Header())
	}
	for k := range Headers() {
		if w.Header().Get(k) == "" {
			t.Errorf("no %s header", k)
		}
	}
}

func TestStatic(t *testing.T) {
	get := func(target string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("GET", target, nil)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		Static().ServeHTTP(w, req)
		return w
	}
	for _, name := range []string{"app.css", "app.js", "mark.svg"} {
		w := get(assetURL(name))
		if w.Code != 200 || w.Body.Len() == 0 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		if w := get("/hub/static/" + name); strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s without a version must not be kept", name)
		}
		if w := get("/hub/static/"+name, "If-None-Match", w.Header().Get("ETag")); w.Code != 304 {
			t.Errorf("%s again with its ETag: %d", name, w.Code)
		}
	}
	css := assetURL("app.css")
	plain, zipped := get(css), get(css, "Accept-Encoding", "gzip, deflate, br, zstd")
	if zipped.Header().Get("Content-Encoding") != "gzip" || zipped.Body.Len() > plain.Body.Len()/2 || zipped.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("for a browser: %d bytes of %d, %v", zipped.Body.Len(), plain.Body.Len(), zipped.Header())
	}
	unpacked, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(unpacked); err != nil || string(all) != plain.Body.String() {
		t.Errorf("another file is compressed: %v", err)
	}
	tag := zipped.Header().Get("ETag")
	if w := get(css, "Accept-Encoding", "gzip", "If-None-Match", tag); w.Code != 304 || tag == plain.Header().Get("ETag") {
		t.Errorf("compressed, again with its tag %s: %d", tag, w.Code)
	}
	if w := get(css, "Accept-Encoding", "gzip", "Range", "bytes=0-9"); w.Code != 206 || w.Body.String() != plain.Body.String()[:10] || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("a part: %d, %v", w.Code, w.Header())
	}
	for _, bad := range []string{"/hub/static/", "/hub/static/../pages.go", "/hub/static/x.css", "/hub/static/../templates/login.html"} {
		if w := get(bad); w.Code != 404 {
			t.Errorf("%s: %d", bad, w.Code)
		}
	}
	w := httptest.NewRecorder()
	Static().ServeHTTP(w, httptest.NewRequest("POST", "/hub/static/app.css", nil))
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

func renderer(t *testing.T) *Renderer {
	t.Helper()
	r, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func texts(t *testing.T, lang string) map[string]string {
	t.Helper()
	b, err := files.ReadFile("locales/active." + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
