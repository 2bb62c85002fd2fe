package hub

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/logs"
)

// root are the headers of an administrator.
func root() []string {
	return []string{contract.HeaderUser, "-", contract.HeaderUser, "root", contract.HeaderAdmin, "true"}
}

// startFor starts a server of somebody's.
func (e *env) startFor(user, name string) {
	e.t.Helper()
	r := spawn.Request{ID: server.ID{User: user, Name: name}, Owner: access.User{Name: user}}
	if err := e.cluster.Start(e.t.Context(), r); err != nil {
		e.t.Fatal(err)
	}
}

// TestAdminPage: an administrator finds people, sees what they have, stops it and comes back to
// the same list.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	e.startFor("bob", "demo")
	e.become("alice", memory.Answer)
	e.cluster.Put(memory.Labelled("rstudio", server.ID{User: "carol", Name: "rstudio"}, time.Now()))
	code, _, page := e.get("/hub/admin?state=running&sort=-name", root()...)
	if code != 200 {
		t.Fatalf("%d %s", code, page)
	}
	for _, want := range []string{
		`href="/hub/admin/users/alice"`, `action="/hub/stop/alice"`, `href="/user/alice/"`, `href="/user/carol/rstudio/"`, ">lab<", "1–2 of 2",
		"3 people", "2 running, 1 starting, 0 failed", `name="back" value="/hub/admin?sort=-name&amp;state=running"`, `<a href="/hub/admin">`, `aria-sort="descending"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(page, "bob") || strings.Index(page, "users/carol") > strings.Index(page, "users/alice") {
		t.Error("bob's server does not run yet, and carol is before alice")
	}
	form := url.Values{fieldBack: {"/hub/admin?sort=-name&state=running"}}
	if code, to, body := e.post("/hub/stop/alice", form, root()...); code != 303 || to != "/hub/admin?sort=-name&state=running" {
		t.Fatalf("%d %s %s", code, to, body)
	}
	if _, _, page := e.get("/hub/admin?state=running", root()...); strings.Contains(page, "users/alice") {
		t.Error("alice's server still runs")
	}
	if _, _, page := e.get("/hub/admin?q=li", root()...); !strings.Contains(page, `action="/hub/spawn/alice"`) || strings.Contains(page, "users/bob") {
		t.Errorf("a search: %s", page)
	}
}

// TestAdminPageOfOne: what an administrator reads about one person.
func TestAdminPageOfOne(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.quotas = map[string]spawn.Quota{"everybody": {Servers: "2"}}
	e.startFor("alice", "my lab")
	code, _, page := e.get("/hub/admin/users/alice", root()...)
	for _, want := range []string{`action="/hub/stop/alice/my%20lab"`, `href="/hub/delete-user/alice"`, "1 of 2", `action="/hub/spawn/alice"`} {
		if code != 200 || !strings.Contains(page, want) {
			t.Errorf("%d: the page has no %s", code, want)
		}
	}
	if _, _, page := e.get("/hub/admin/users/root", root()...); strings.Contains(page, "delete-user") {
		t.Error("administrators are offered to delete themselves")
	}
	if code, _, _ := e.get("/hub/admin/users/%2e%2e", root()...); code != 400 {
		t.Errorf("a name that nobody can have: %d", code)
	}
}

// TestS13_AdminPagesAreForAdministrators: each path and method, whoever else asks, also about
// themselves, and with a narrow token of an administrator's too.
func TestS13_AdminPagesAreForAdministrators(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	for name, headers := range map[string][]string{
		"a user":             nil,
		"a lie":              {contract.HeaderAdmin, "yes"},
		"a token of alice's": {contract.HeaderScopes, "inherit"},
		"a narrow token of an administrator": {
			contract.HeaderUser, "-", contract.HeaderUser, "root", contract.HeaderAdmin, "true", contract.HeaderScopes, "servers!user=root",
		},
	} {
		for _, path := range adminPaths() {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut} {
				form := url.Values{contract.XSRFName: {token}}
				code, _, body := e.read(e.send(request{method: method, path: path, form: form, headers: headers}))
				if code != 403 && code != 404 {
					t.Errorf("%s: %s %s: %d", name, method, path, code)
				}
				if strings.Contains(body, "/hub/stop/") || strings.Contains(body, "people have something") {
					t.Errorf("%s: %s %s shows %s", name, method, path, body)
				}
			}
		}
	}
	if n := e.changes.Load(); n != 0 {
		t.Errorf("%d changes", n)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, contract.PathAdmin) {
		t.Error("the menu of a user leads there")
	}
	if code, _, _ := e.get(contract.PathAdmin, root()...); code != 200 {
		t.Errorf("negative control: %d", code)
	}
}

// adminPaths are the administrators' pages.
func adminPaths() []string {
	return []string{"/hub/admin", "/hub/admin/", "/hub/admin/users/alice", "/hub/admin/users/nobody", "/hub/admin/nothing", "/hub/admin/quotas", "/hub/admin/messages", "/hub/admin/messages/remove", "/hub/admin/cluster"}
}

// TestS6_AdminPageEscapes: names come from directories, users and pods.
func TestS6_AdminPageEscapes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const evil = `<img src=x onerror=alert(1)>"'`
	r := spawn.Request{ID: server.ID{User: evil, Name: "x"}, Owner: access.User{Name: evil}, DisplayName: `"><script>alert(1)</script>`}
	if err := e.cluster.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/hub/admin", "/hub/admin?q=" + url.QueryEscape(evil), "/hub/admin?profile=" + url.QueryEscape(evil), adminUserURL(evil)} {
		code, _, page := e.get(path, root()...)
		if code != 200 || strings.Contains(page, "<img src=x") || strings.Contains(page, "<script>alert") || !strings.Contains(page, "&lt;img") {
			t.Errorf("%s: %d %s", path, code, page)
		}
	}
}

// TestD5_AdminSearchIsBounded: nothing that is typed makes the page long or slow.
func TestD5_AdminSearchIsBounded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.startFor("alice", "")
	for _, key := range []string{"q", "profile", "state", "sort", "page"} {
		code, _, page := e.get("/hub/admin?"+key+"="+strings.Repeat("a", 10_000), root()...)
		if code != 200 || len(page) > 20_000 {
			t.Errorf("%s: %d, %d bytes", key, code, len(page))
		}
	}
}

// TestU1_FormsLeadBackToAdminPagesOnly: whatever a form says.
func TestU1_FormsLeadBackToAdminPagesOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for to, leads := range map[string]bool{
		"/hub/admin": true, "/hub/admin?q=a": true, "/hub/admin/users/alice": true,
		"//evil.test/hub/admin": false, "https://evil.test/hub/admin": false, "/hub/administrator": false, "/hub/admin/../../user/bob/": false,
		"/hub/admin\\..\\..": false, "/user/bob/": false, "": false, "/hub/admin/%2e%2e/logout": false,
	} {
		e.startFor("alice", "")
		want := contract.PathHome
		if leads {
			want = to
		}
		if code, got, body := e.post("/hub/stop/alice", url.Values{fieldBack: {to}}, root()...); code != 303 || got != want {
			t.Errorf("%q leads to %d %q %s", to, code, got, body)
		}
	}
}

// TestS9_AdminFormsNeedTheToken: an administrator's browser does nothing for another site.
func TestS9_AdminFormsNeedTheToken(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, path := range []string{"/hub/stop/alice", "/hub/spawn/alice", "/hub/delete/alice/demo", "/hub/delete-user/alice"} {
		for name, form := range map[string]url.Values{"none": {fieldBack: {"/hub/admin"}}, "wrong": {contract.XSRFName: {"x"}}} {
			if code, _, _ := e.read(e.send(request{method: "POST", path: path, form: form, headers: root()})); code != 403 {
				t.Errorf("%s with a token that is %s: %d", path, name, code)
			}
		}
	}
	if n := e.changes.Load(); n != 0 {
		t.Errorf("%d changes", n)
	}
}

// TestAdminPagesOfALongList: the second page has the rest.
func TestAdminPagesOfALongList(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for i := range 60 {
		e.cluster.Put(memory.Labelled(fmt.Sprint("pod", i), server.ID{User: fmt.Sprintf("user%02d", i), Name: "app"}, time.Now()))
	}
	_, _, first := e.get("/hub/admin", root()...)
	_, _, second := e.get("/hub/admin?page=2", root()...)
	if !strings.Contains(first, `rel="next" href="/hub/admin?page=2"`) || !strings.Contains(first, "1–50 of 60") || !strings.Contains(first, "users/user49") || strings.Contains(first, "users/user50") {
		t.Error("the first page")
	}
	if !strings.Contains(second, `rel="prev" href="/hub/admin"`) || !strings.Contains(second, "51–60 of 60") || !strings.Contains(second, "users/user50") {
		t.Error("the second page")
	}
}

// TestAdminActionsAreTold: the audit log and the person's page say which administrator did what.
func TestAdminActionsAreTold(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, body := e.post("/hub/spawn/alice/demo", nil, append(root(), contract.HeaderSubject, "alice")...); code != 303 {
		t.Fatalf("%d %s", code, body)
	}
	for _, path := range []string{"/hub/stop/alice/demo", "/hub/delete/alice/demo"} {
		if code, _, body := e.post(path, nil, root()...); code != 303 {
			t.Fatalf("%d %s", code, body)
		}
	}
	logs.Audited(t, e.log.String(), telemetry.ServerStarted, telemetry.ServerStopped, telemetry.ServerDeleted)
	_, _, page := e.get("/hub/admin/users/alice", root()...)
	for _, want := range []string{"Start of the server <code>demo</code>", "Stop of the server <code>demo</code>", "by root", `href="/hub/sessions/alice"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not tell %s", want)
		}
	}
	before := strings.Count(e.log.String(), "audit=true")
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	if strings.Count(e.log.String(), "audit=true") != before {
		t.Error("what users do with their own servers is no audit line")
	}
}

// TestAdminQuotas: each quota with what is used of it, and who uses most.
func TestAdminQuotas(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, _, page := e.get("/hub/admin/quotas", root()...); !strings.Contains(page, "There are no quotas") {
		t.Error("without quotas")
	}
	e.quotas = map[string]spawn.Quota{"everybody": {Servers: "2"}, "crew": {Users: []string{"alice", "bob"}, Together: true, Servers: "3"}, "staff": {Groups: []string{"staff"}, Servers: "9"}}
	for _, id := range []server.ID{{User: "alice"}, {User: "alice", Name: "demo"}, {User: "zoë"}} {
		e.startFor(id.User, id.Name)
		e.cluster.Change(id, memory.Answer)
	}
	_, _, page := e.get("/hub/admin/quotas", root()...)
	for _, want := range []string{"<h2 id=\"quota-0\">crew</h2>", "2 of 3", "2 of 2", "1 of 2", `href="/hub/admin/users/zo%C3%AB"`, "nobody is named here", `aria-current="page"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s: %s", want, page)
		}
	}
	if strings.Index(page, "users/alice") > strings.Index(page, "users/zo") {
		t.Error("alice uses more than zoë")
	}
}
