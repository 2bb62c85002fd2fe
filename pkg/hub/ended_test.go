package hub

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// TestMaximumAgeIsSaid: a server with a maximum age shows when it ends. At its age it has ended and
// not failed, its pages say why, and a start works.
func TestMaximumAgeIsSaid(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.catalog[0].Lifetime = spawn.Lifetime{MaxAge: "12h"}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	model := func() (apiServer, bool) {
		t.Helper()
		_, _, body := e.get("/hub/api/users/alice")
		var user apiUser
		if err := json.Unmarshal([]byte(body), &user); err != nil {
			t.Fatal(err)
		}
		m, ok := user.Servers[""]
		return m, ok
	}
	if m, _ := model(); m.EndsAt != nil {
		t.Errorf("negative control: before a node has it, it ends at %v", m.EndsAt)
	}
	e.change("", memory.Answer)
	m, _ := model()
	if m.EndsAt == nil || m.EndsAt.Sub(*m.Started).Hours() != 12 {
		t.Fatalf("it ends at %v", m.EndsAt)
	}
	if _, _, page := e.get("/hub/home"); !strings.Contains(page, "Ends: <time datetime=\""+m.EndsAt.UTC().Format("2006-01-02T15:04")) {
		t.Errorf("the home page does not say when it ends:\n%s", page)
	}
	e.change("", memory.Age)
	if _, there := model(); there {
		t.Error("a server that has ended is among the running ones")
	}
	for lang, want := range map[string]string{"en": "reached its maximum age of 12 h", "zh-CN": "最长运行时间 12 h"} {
		for _, path := range []string{"/hub/home", "/hub/spawn-pending/alice"} {
			if code, _, page := e.get(path, "Accept-Language", lang); code != http.StatusOK || !strings.Contains(page, want) || strings.Contains(page, "did not start") {
				t.Errorf("%s in %s: %d\n%s", path, lang, code, page)
			}
		}
	}
	if code, to, _ := e.post("/hub/spawn/alice", url.Values{}); code != http.StatusSeeOther || to != "/hub/spawn-pending/alice" {
		t.Errorf("the next start: %d %s", code, to)
	}
	if m, _ := model(); m.Pending == nil || *m.Pending != "spawn" {
		t.Errorf("after the next start: %+v", m)
	}
	if code, _, _ := e.post("/hub/stop/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	if _, _, page := e.get("/hub/home"); strings.Contains(page, "maximum age") {
		t.Error("negative control: a server that its user stopped reached its age")
	}
}

// TestIdleStopIsSaid: a server that was stopped because it was not in use says so.
func TestIdleStopIsSaid(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.catalog[0].Lifetime = spawn.Lifetime{Cull: spawn.Cull{Idle: "1h"}}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != http.StatusSeeOther {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	e.change("", memory.Cull)
	for lang, want := range map[string]string{"en": "stopped after 1 h without use", "zh-CN": "闲置 1 h"} {
		for _, path := range []string{"/hub/home", "/hub/spawn-pending/alice"} {
			if code, _, page := e.get(path, "Accept-Language", lang); code != http.StatusOK || !strings.Contains(page, want) || strings.Contains(page, "did not start") {
				t.Errorf("%s in %s: %d\n%s", path, lang, code, page)
			}
		}
	}
}
