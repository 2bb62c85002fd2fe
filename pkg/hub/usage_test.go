package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/logs"
)

// TestOverQuotaSaysWhichByHowMuchAndWhen: on the page, in REST, and in the user's language.
func TestOverQuotaSaysWhichByHowMuchAndWhen(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.quotas = map[string]spawn.Quota{"students": {CPU: "0.8"}}
	if code, _, body := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatalf("the first server: %d %s", code, body)
	}
	code, _, body := e.post("/hub/spawn/alice/two", nil)
	for _, want := range []string{"“students” allows 0.8 CPU cores", "Used so far: 0.5. This server needs 0.5: 0.2 too many", "as soon as another of your servers stops", `id="retry"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: the page lacks %q\n%s", code, want, body)
		}
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/servers/two", ""); code != http.StatusForbidden || !strings.Contains(body, "0.2 too many. There is room as soon as") {
		t.Errorf("REST: %d %s", code, body)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/servers/two", "", "Accept-Language", "zh-CN"); code != http.StatusForbidden || !strings.Contains(body, "配额“students”") || !strings.Contains(body, "停止后即可启动") {
		t.Errorf("REST in Chinese: %d %s", code, body)
	}
	if _, _, home := e.get("/hub/home"); !strings.Contains(home, `<meter min="0" max="800" value="500" aria-label="CPU cores">0.5 of 0.8</meter>`) {
		t.Errorf("home: %s", home)
	}
	if len(e.cluster.Pods()) != 1 {
		t.Errorf("pods: %v", e.cluster.Pods())
	}
}

// TestWhatNeverFitsIsNotTriedAgain: a server that alone is larger than its quota would be refused as
// often as its user tries, at once and when it had waited for its turn.
func TestWhatNeverFitsIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.quotas = map[string]spawn.Quota{"students": {CPU: "0.4"}}
	_, _, page := e.post("/hub/spawn/alice", nil)
	if !strings.Contains(page, "alone is larger than the quota") || strings.Contains(page, `id="retry"`) || strings.Contains(page, `id="choose"`) {
		t.Errorf("with one profile:\n%s", page)
	}
	e.catalog[1].AllowedGroups = nil
	if _, _, page := e.post("/hub/spawn/alice", nil); strings.Contains(page, `id="retry"`) || !strings.Contains(page, `id="choose"`) {
		t.Errorf("with two profiles:\n%s", page)
	}
	e.quotas = nil
	for _, user := range []string{"first", "second"} {
		e.startFor(user, "")
	}
	e.startFor("alice", "")
	e.quotas = map[string]spawn.Quota{"students": {CPU: "0.4"}}
	e.become("first", memory.Answer)
	if _, _, page := e.get("/hub/spawn-pending/alice"); !strings.Contains(page, "alone is larger than the quota") || strings.Contains(page, `id="retry"`) || strings.Contains(page, `id="safe"`) {
		t.Errorf("at its turn:\n%s", page)
	}
}

// TestNamedServers: listed with what the user calls them while they are stopped, escaped; deleted
// by a form or by JupyterHub's {"remove": true}, which stops what runs.
func TestNamedServers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, name := range []string{"one", "two"} {
		if code, _, body := e.post("/hub/spawn/alice/"+name, url.Values{"display_name": {"Lab <" + name + ">"}}); code != http.StatusSeeOther {
			t.Fatalf("start %s: %d %s", name, code, body)
		}
		e.change(name, memory.Answer)
	}
	if code, _, _ := e.post("/hub/stop/alice/one", nil); code != http.StatusSeeOther {
		t.Fatalf("stop: %d", code)
	}
	_, _, home := e.get("/hub/home")
	if !strings.Contains(home, "Lab &lt;one&gt;") || !strings.Contains(home, `action="/hub/delete/alice/one"`) || strings.Contains(home, `action="/hub/delete/alice/two"`) {
		t.Errorf("home: %s", home)
	}
	if _, _, form := e.get("/hub/spawn/alice/one"); !strings.Contains(form, `name="display_name" value="Lab &lt;one&gt;"`) {
		t.Errorf("the form of a stopped server does not know what it is called: %s", form)
	}
	if code, _, _ := e.get("/hub/delete/alice/one"); code == http.StatusSeeOther || len(e.cluster.List("alice")) != 2 {
		t.Errorf("S9: a link deletes: %d", code)
	}
	if code, to, _ := e.post("/hub/delete/alice/one", nil); code != http.StatusSeeOther || to != "/hub/home" {
		t.Errorf("delete: %d %s", code, to)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice/servers/two", `{"remove": "yes"}`); code != http.StatusBadRequest {
		t.Errorf("a body that is none: %d %s", code, body)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice/servers/two", `{"remove": true}`); code != http.StatusNoContent {
		t.Errorf("remove: %d %s", code, body)
	}
	if left := e.cluster.List("alice"); len(left) != 0 || len(e.cluster.Homes()) != 1 {
		t.Errorf("left: %v, homes %v", left, e.cluster.Homes())
	}
	for _, bad := range []string{"a\x1b[2J", strings.Repeat("x", server.MaxDisplay+1)} {
		if code, _, _ := e.post("/hub/spawn/alice/three", url.Values{"display_name": {bad}}); code != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, code)
		}
	}
}

// A browser's meter has exact numbers and a scale.
func TestUsageMeters(t *testing.T) {
	t.Parallel()
	all := usage([]spawn.Usage{
		{Usage: quota.Usage{Resource: quota.Storage, Used: 1 << 60, Most: 1 << 61}},
		{Usage: quota.Usage{Resource: quota.Servers, Used: 3000, Most: 2000}},
		{Usage: quota.Usage{Resource: "nvidia.com/gpu", Used: 1, Most: 0}, Shared: true},
	})
	for i, want := range []struct {
		name       string
		used, most int64
	}{{"resource.storage", 50, 100}, {"resource.servers", 2000, 2000}, {"nvidia.com/gpu", 1, 1}} {
		if u := all[i]; u.Resource != want.name || u.Used != want.used || u.Most != want.most {
			t.Errorf("%+v, want %+v", u, want)
		}
	}
}

// TestDeletingAUserAsks: administrators only, never by a link, never themselves; homes go only with
// the box, or the member of the body, that says so.
func TestDeletingAUserAsks(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	admin := []string{contract.HeaderUser, "-", contract.HeaderUser, "root", contract.HeaderAdmin, "true"}
	for _, name := range []string{"", "/two"} {
		if code, _, body := e.post("/hub/spawn/alice"+name, nil); code != http.StatusSeeOther {
			t.Fatalf("start: %d %s", code, body)
		}
	}
	if code, _, _ := e.get("/hub/delete-user/alice"); code != http.StatusForbidden {
		t.Errorf("a user deletes themselves: %d", code)
	}
	if code, _, _ := e.post("/hub/delete-user/bob", nil); code != http.StatusForbidden {
		t.Errorf("a user deletes another: %d", code)
	}
	if code, _, _ := e.api("DELETE", "/hub/api/users/bob", ""); code != http.StatusForbidden {
		t.Errorf("a user deletes another by REST: %d", code)
	}
	code, _, page := e.get("/hub/delete-user/alice", admin...)
	if code != http.StatusOK || !strings.Contains(page, `name="remove_homes"`) || strings.Contains(page, "checked") || !strings.Contains(page, "two") || len(e.cluster.Pods()) != 2 {
		t.Errorf("the question: %d %s", code, page)
	}
	if code, _, page := e.post("/hub/delete-user/alice", nil, admin...); code != http.StatusOK || !strings.Contains(page, "still there") {
		t.Errorf("without the box: %d %s", code, page)
	}
	if len(e.cluster.List("alice")) != 0 || len(e.cluster.Homes()) != 1 {
		t.Errorf("without the box: servers %v, homes %v", e.cluster.List("alice"), e.cluster.Homes())
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice", `{"remove_homes": "no"}`, admin...); code != http.StatusBadRequest || len(e.cluster.Homes()) != 1 {
		t.Errorf("a body that is none: %d %s", code, body)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice", "", admin...); code != http.StatusNoContent || len(e.cluster.Homes()) != 1 {
		t.Errorf("without a body: %d %s", code, body)
	}
	if code, _, body := e.api("DELETE", "/hub/api/users/alice", `{"remove_homes": true}`, admin...); code != http.StatusNoContent || len(e.cluster.Homes()) != 0 {
		t.Errorf("with homes: %d %s, homes %v", code, body, e.cluster.Homes())
	}
	if code, _, _ := e.api("DELETE", "/hub/api/users/root", "", admin...); code != http.StatusBadRequest {
		t.Errorf("an administrator deletes themselves: %d", code)
	}
	if code, _, page := e.post("/hub/delete-user/bob", url.Values{"remove_homes": {"true"}}, admin...); code != http.StatusOK || !strings.Contains(page, "no home folders") {
		t.Errorf("with the box: %d %s", code, page)
	}
	logs.Audited(t, e.log.String(), telemetry.UserDeleted)
}

// TestEveryPageIsRouted: a page that contract.HubPages does not list is not there for Envoy.
func TestEveryPageIsRouted(t *testing.T) {
	t.Parallel()
	routed := map[string]bool{}
	for _, p := range contract.HubPages() {
		routed[p.Segment] = p.Upstream == contract.UpstreamHub
	}
	for pattern := range newEnv(t).hub.pages() {
		_, path, ok := strings.Cut(pattern, contract.PathHub)
		if !ok {
			continue // not a page below /hub/
		}
		segment, _, _ := strings.Cut(strings.TrimSuffix(path, "{$}"), "/")
		if !routed[segment] {
			t.Errorf("Envoy has no route to %s", pattern)
		}
	}
}
