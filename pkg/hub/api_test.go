package hub

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/test/wait"
)

// call is one step of a conversation over REST: what alice's script asks, and what its
// answer must be.
type call struct {
	what, method, path, body string
	code                     int
	says                     string // part of the answer
}

func (e *env) calls(all []call) {
	e.t.Helper()
	for _, c := range all {
		code, _, body := e.api(c.method, c.path, c.body)
		if code != c.code || !strings.Contains(body, c.says) || body != "" && !json.Valid([]byte(body)) {
			e.t.Errorf("%s: %s %s with %.60s: %d %s, want %d %s", c.what, c.method, c.path, c.body, code, body, c.code, c.says)
		}
	}
}

// TestREST goes through JupyterHub's calls and their answers, from a script's first
// question to the end of its server.
func TestREST(t *testing.T) {
	t.Parallel()
	const demo = "/hub/api/users/alice/servers/demo"
	e := newEnv(t)
	e.calls([]call{
		{"the version", "GET", "/hub/api/", "", 200, `"version"`},
		{"an unknown address", "GET", "/hub/api/nothing", "", 404, ""},
		{"a start", "POST", demo, `{"profile":"lab"}`, 202, ""},
		{"a start that is under way", "POST", demo, `{"profile":"lab"}`, 202, ""},
		{"the user meanwhile", "GET", "/hub/api/user", "", 200, `"pending":"spawn","url":"/user/alice/demo/","full_url":"` + e.origin + `/user/alice/demo/","progress_url":"` + demo + `/progress"`},
	})
	e.change("demo", memory.Answer)
	wait.Until(t, "already running", func() bool { code, _, _ := e.api("POST", demo, ""); return code == 400 })
	if code, to, _ := e.get("/hub/user/alice/demo/lab"); code != 302 || to != "/user/alice/demo/lab?redirects=1" {
		t.Errorf("a named server below /hub/user: %d %s", code, to)
	}
	e.calls([]call{
		{"the user then", "GET", "/hub/api/users/alice", "", 200, `"ready":true`},
		{"a stop", "DELETE", demo, "", 204, ""},
		{"a stop of what has stopped", "DELETE", demo, "", 204, ""},
	})
}

// TestK4_RefusedStarts: a start that asks for what there is not starts nothing.
func TestK4_RefusedStarts(t *testing.T) {
	t.Parallel()
	const start = "/hub/api/users/alice/server"
	e := newEnv(t)
	e.calls([]call{
		{"a list", "POST", start, "[]", 400, ""},
		{"no such profile", "POST", start, `{"profile":"gpu"}`, 400, ""},
		{"a profile that is a number", "POST", start, `{"profile":7}`, 400, ""},
		{"no such option", "POST", start, `{"image":"evil"}`, 400, ""},
		{"half a body", "POST", start, `{`, 400, ""},
		{"a body without end", "POST", start, `{"x":"` + strings.Repeat("a", maxBody) + `"}`, 413, ""},
		{"a name that begins with a dot", "POST", "/hub/api/users/alice/servers/.x", "", 400, ""},
		{"a name with a slash", "POST", "/hub/api/users/alice/servers/a%2Fb", "", 400, ""},
		{"a name with a zero byte", "POST", "/hub/api/users/alice/servers/a%00", "", 400, ""},
	})
	if code, _, _ := e.read(e.send(request{method: "POST", path: start, body: "{}", headers: []string{contract.XSRFHeader, token, "Content-Type", "text/plain"}})); code != 415 {
		t.Errorf("text/plain: %d", code)
	}
	if len(e.cluster.Pods()) != 0 {
		t.Fatal("a refused request started a server")
	}
}

func TestD7_LimitSays429(t *testing.T) {
	t.Parallel()
	e := newEnv(t) // SpawnLimit is 2
	names := []string{"a", "b"}
	for i := range spawn.MaxServers {
		names = append(names, fmt.Sprint("waits", i))
	}
	for _, s := range names {
		if code, _, _ := e.api("POST", "/hub/api/users/alice/servers/"+s, ""); code != 202 {
			t.Fatal(code)
		}
	}
	resp := e.send(request{method: "POST", path: "/hub/api/users/alice/servers/c", headers: []string{contract.XSRFHeader, token}})
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("REST: %d %v", resp.StatusCode, resp.Header)
	}
	form := url.Values{contract.XSRFName: {token}}
	resp = e.send(request{method: "POST", path: "/hub/spawn/alice/c", form: form})
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), `id="retry"`) {
		t.Errorf("page: %d %v %s", resp.StatusCode, resp.Header, body)
	}
}

func TestOnePersonsServersAreLimited(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for i := range spawn.MaxServers - 1 {
		name := fmt.Sprintf("s%d", i)
		if code, _, body := e.api("POST", "/hub/api/users/alice/servers/"+name, ""); code != 202 {
			t.Fatalf("server %d: %d %s", i, code, body)
		}
		e.change(name, memory.Answer)
		wait.Until(t, "running", func() bool {
			_, _, body := e.get("/hub/api/user")
			return strings.Count(body, `"ready":true`) == i+1
		})
	}
	if code, _, _ := e.api("POST", "/hub/api/users/alice/servers/more", ""); code != 400 {
		t.Errorf("one more: %d", code)
	}
}

// events reads a progress stream to its end.
func (e *env) events(path string, headers ...string) <-chan progressEvent {
	e.t.Helper()
	resp := e.send(request{method: "GET", path: path, headers: headers})
	if kind := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || kind != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-cache" {
		e.t.Fatalf("stream: %d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan progressEvent)
	go func() {
		defer close(out)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			data, ok := strings.CutPrefix(s.Text(), "data: ")
			if !ok {
				continue
			}
			var got progressEvent
			if err := json.Unmarshal([]byte(data), &got); err != nil {
				e.t.Error(err)
			}
			out <- got
		}
	}()
	return out
}

// TestProgressStream: what has happened, what happens, and "ready" only once the route
// is known everywhere.
func TestProgressStream(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const path = "/hub/api/users/alice/server/progress"
	if code, _, body := e.get(path); code != 400 || !json.Valid([]byte(body)) {
		t.Errorf("not starting: %d %s", code, body)
	}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.served.Store(false)
	stream := e.events(path, "Accept-Language", "zh-CN")
	if got := <-stream; got.Message != "已提交启动请求" || got.Progress != 5 || got.Ready || got.Failed {
		t.Errorf("first: %+v", got)
	}
	e.change("", memory.Answer)
	if e := <-stream; e.Progress != 90 || e.Ready {
		t.Errorf("answering: %+v", e)
	}
	select {
	case e := <-stream:
		t.Errorf("before the route is known: %+v", e)
	case <-time.After(100 * time.Millisecond):
	}
	e.served.Store(true)
	if e := <-stream; !e.Ready || e.URL != "/user/alice/" || e.Progress != 100 {
		t.Errorf("ready: %+v", e)
	}
	if e, more := <-stream; more {
		t.Errorf("after ready: %+v", e)
	}
}

func TestProgressStreamOfAFailure(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	stream := e.events("/hub/api/users/alice/server/progress")
	<-stream
	e.change("", memory.Fail)
	got := <-stream
	if !got.Failed || !strings.Contains(got.Message, "example.org/lab:1") || !strings.Contains(got.Message, "manifest unknown") {
		t.Errorf("failure: %+v", got)
	}
	if e, more := <-stream; more {
		t.Errorf("after the failure: %+v", e)
	}
}

func TestProgressStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	stream := e.events("/hub/api/users/alice/server/progress")
	<-stream
	if code, _, _ := e.post("/hub/stop/alice", nil); code != 303 {
		t.Fatal(code)
	}
	for e := range stream {
		if e.Ready || e.Failed {
			t.Errorf("after the stop: %+v", e)
		}
	}
}

// TestRouteThatDoesNotCome: a server that answers while the gateway refuses its route does not
// leave its user before a bar that stands still; the way opens when the route comes.
func TestRouteThatDoesNotCome(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.hub.patience = 50 * time.Millisecond
	e.served.Store(false)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	stream := e.events("/hub/api/users/alice/server/progress")
	const said = "the gateway does not lead to it yet"
	wait.Until(t, "the stream says what is missing", func() bool {
		got := <-stream
		return strings.Contains(got.Message, said) && got.Progress == 95 && !got.Failed
	})
	if _, _, body := e.get("/hub/spawn-pending/alice"); !strings.Contains(body, said) {
		t.Errorf("the page does not say what is missing: %s", body)
	}
	e.served.Store(true)
	if got := <-stream; !got.Ready {
		t.Errorf("after the route came: %+v", got)
	}
}

// TestD7_StreamsAreBounded: one user holds so many streams; others are served.
func TestD7_StreamsAreBounded(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const path = "/hub/api/users/alice/server/progress"
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	var open []*http.Response
	for range maxStreams {
		resp := e.send(request{method: "GET", path: path})
		if resp.StatusCode != 200 {
			t.Fatalf("stream %d: %d", len(open), resp.StatusCode)
		}
		open = append(open, resp)
	}
	if code, _, _ := e.get(path); code != 429 {
		t.Errorf("one more: %d", code)
	}
	carol := e.send(request{method: "GET", path: path, headers: []string{contract.HeaderUser, "-", contract.HeaderUser, "carol", contract.HeaderAdmin, "true"}})
	if carol.StatusCode != 200 {
		t.Errorf("another user: %d", carol.StatusCode)
	}
	for _, resp := range append(open, carol) {
		_ = resp.Body.Close()
	}
	wait.Until(t, "closed streams are forgotten", func() bool {
		e.hub.mu.Lock()
		defer e.hub.mu.Unlock()
		return len(e.hub.streams) == 0
	})
}
