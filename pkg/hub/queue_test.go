package hub

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
)

// crowded is an env whose two places are taken and where bob's server is the first to wait.
func crowded(t *testing.T) *env {
	t.Helper()
	e := newEnv(t) // SpawnLimit is 2
	for _, user := range []string{"x", "y", "bob"} {
		if code, _, _ := e.api("POST", "/hub/api/users/"+user+"/server", "", contract.HeaderUser, "-", contract.HeaderUser, user); code != 202 {
			t.Fatal(code)
		}
	}
	return e
}

// TestQueuedStart: the form leads to the pending page, which says how many starts come first, as
// the REST API and the progress stream do, until there is a place.
func TestQueuedStart(t *testing.T) {
	t.Parallel()
	e := crowded(t)
	code, to, _ := e.post("/hub/spawn/alice", nil)
	if code != 303 || to != "/hub/spawn-pending/alice" {
		t.Fatalf("%d %s", code, to)
	}
	for language, want := range map[string]string{"en": "Starts before yours: 1", "zh-CN": "排在您前面的启动请求：1 个"} {
		code, _, page := e.get(to, "Accept-Language", language)
		if code != 200 || !strings.Contains(page, want) || strings.Contains(page, `id="retry"`) || !strings.Contains(page, "/hub/stop/alice") {
			t.Errorf("%s: %d %s", language, code, page)
		}
	}
	_, _, body := e.api("GET", "/hub/api/users/alice", "")
	var user struct {
		Pending string
		Servers map[string]struct {
			Pending        string
			Ready, Stopped bool
		}
	}
	if err := json.Unmarshal([]byte(body), &user); err != nil || user.Pending != "spawn" || user.Servers[""].Pending != "spawn" || user.Servers[""].Stopped {
		t.Errorf("%v: %s", err, body)
	}
	if _, _, home := e.get("/hub/home"); !strings.Contains(home, to) {
		t.Errorf("the home page does not lead to it: %s", home)
	}
	stream := bufio.NewScanner(e.send(request{method: "GET", path: "/hub/api/users/alice/server/progress"}).Body)
	next := func(want string) {
		t.Helper()
		for stream.Scan() {
			if strings.Contains(stream.Text(), want) {
				return
			}
		}
		t.Errorf("the stream ended without %q", want)
	}
	next("Starts before yours: 1")
	e.become("x", memory.Answer)
	next("Yours is next")
	e.become("y", memory.Answer)
	next("Server requested")
	e.change("", memory.Answer)
	next(`"ready":true`)
}

// TestQueuedStartIsTakenBack: from the page and through the REST API.
func TestQueuedStartIsTakenBack(t *testing.T) {
	t.Parallel()
	e := crowded(t)
	for _, stop := range []func() int{
		func() int { code, _, _ := e.post("/hub/stop/alice", nil); return code },
		func() int { code, _, _ := e.api("DELETE", "/hub/api/users/alice/server", ""); return code },
	} {
		if code, _, _ := e.api("POST", "/hub/api/users/alice/server", ""); code != 202 {
			t.Fatal(code)
		}
		if code := stop(); code != 303 && code != 204 {
			t.Errorf("stop: %d", code)
		}
		if _, to, _ := e.get("/hub/spawn-pending/alice"); to != "/hub/spawn/alice" {
			t.Errorf("afterwards the page leads to %q", to)
		}
	}
	e.become("x", memory.Answer)
	e.become("y", memory.Answer)
	if n := len(e.cluster.Pods()); n != 3 {
		t.Errorf("%d pods", n)
	}
}

// TestQueuedStartIsRefused: the page of a start that was refused at its turn says why, and offers
// to try again.
func TestQueuedStartIsRefused(t *testing.T) {
	t.Parallel()
	e := crowded(t)
	if code, _, _ := e.api("POST", "/hub/api/users/alice/server", `{"profile": "lab"}`); code != 202 {
		t.Fatal(code)
	}
	e.catalog = e.catalog[1:] // of physicists only
	e.become("x", memory.Answer)
	e.become("y", memory.Answer)
	code, _, page := e.get("/hub/spawn-pending/alice")
	if code != 200 || !strings.Contains(page, `id="retry"`) {
		t.Errorf("%d %s", code, page)
	}
	if _, _, body := e.api("GET", "/hub/api/users/alice", ""); !strings.Contains(body, `"stopped":true`) || !strings.Contains(body, `"pending":null`) {
		t.Errorf("%s", body)
	}
}
