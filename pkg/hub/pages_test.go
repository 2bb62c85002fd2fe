package hub

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
	"github.com/perijove/perijove/test/wait"
)

// TestOneLife follows a server from the home page through start, progress and use to
// its stop, as a browser without script would.
func TestOneLife(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, to, _ := e.get("/hub/"); code != 302 || to != "/hub/home" {
		t.Fatalf("/hub/: %d %s", code, to)
	}
	if code, _, body := e.get("/hub/home"); code != 200 || !strings.Contains(body, `action="/hub/spawn/alice"`) {
		t.Fatalf("home: %d %s", code, body)
	}
	escaped := "/user/alice/lab/tree/a%20b.ipynb"
	if code, to, _ := e.get("/hub" + escaped); code != 424 || to != "" {
		t.Fatalf("not running: %d %s", code, to)
	}
	code, _, body := e.get("/hub/spawn/alice?next=" + url.QueryEscape(escaped))
	if code != 200 || !strings.Contains(body, "Jupyter &lt;Lab&gt;") || !strings.Contains(body, escaped) {
		t.Fatalf("spawn form: %d %s", code, body)
	}
	if len(e.cluster.Pods()) != 0 {
		t.Fatal("S9: a GET started a server")
	}
	pendingPage := "/hub/spawn-pending/alice?next=" + url.QueryEscape(escaped)
	if code, to, body := e.post("/hub/spawn/alice", url.Values{"next": {escaped}}); code != 303 || to != pendingPage {
		t.Fatalf("start: %d %s %s", code, to, body)
	}
	if code, _, body := e.get(pendingPage); code != 200 || !strings.Contains(body, "/hub/api/users/alice/server/progress") {
		t.Fatalf("pending: %d %s", code, body)
	}
	if code, to, _ := e.get("/hub/user/alice/lab?reset"); code != 303 || !strings.HasPrefix(to, "/hub/spawn-pending/alice?next=") {
		t.Errorf("while pending: %d %s", code, to)
	}
	e.served.Store(false)
	e.change("", memory.Answer)
	if code, _, body := e.get(pendingPage); code != 200 {
		t.Errorf("left for the server before its route is known: %d %s", code, body)
	}
	e.served.Store(true)
	wait.Until(t, "redirect into the server", func() bool {
		code, to, _ := e.get(pendingPage)
		return code == 302 && to == escaped
	})
	if code, to, _ := e.get("/hub/"); code != 302 || to != "/user/alice/" {
		t.Errorf("/hub/ while running: %d %s", code, to)
	}
	if _, _, body := e.get("/hub/home"); !strings.Contains(body, `href="/user/alice/"`) || !strings.Contains(body, `action="/hub/stop/alice"`) {
		t.Errorf("home while running: %s", body)
	}
	if code, to, _ := e.post("/hub/stop/alice", nil); code != 303 || to != "/hub/home" || len(e.cluster.Pods()) != 0 {
		t.Errorf("stop: %d %s, %d pods", code, to, len(e.cluster.Pods()))
	}
	if len(e.cluster.Homes()) != 1 {
		t.Errorf("home volumes after the stop: %v, want alice's", e.cluster.Homes())
	}
}

// TestQuotaIsShown: a start that the cluster refuses says so on the answer to the form, offers
// to try again, and escapes the cluster's words.
func TestQuotaIsShown(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cluster.Refuse(&spawn.Problem{Message: spawn.MsgQuota, Detail: "exceeded quota: <script>"})
	code, _, body := e.post("/hub/spawn/alice", url.Values{"next": {"/user/alice/lab"}})
	for _, want := range []string{"There is no room", `action="/hub/spawn/alice"`, `id="retry"`, `value="/user/alice/lab"`, "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: the page lacks %s\n%s", code, want, body)
		}
	}
	if code != 403 || strings.Contains(body, "<script>") {
		t.Errorf("%d %s", code, body)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/server", "", "Accept-Language", "zh-CN"); code != 403 || !strings.Contains(body, "资源不足") {
		t.Errorf("REST: %d %s", code, body)
	}
}

// TestClusterAwayIs503: a start says that the cluster does not answer; the pages are shown from
// what is known.
func TestClusterAwayIs503(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.cluster.Refuse(&spawn.Problem{Message: spawn.MsgUnavailable, Err: errors.New("the API is away")})
	if code, _, body := e.post("/hub/spawn/alice", nil); code != 503 || !strings.Contains(body, "Running servers go on working") {
		t.Errorf("start: %d %.300s", code, body)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/server", ""); code != 503 || !strings.Contains(body, "Running servers go on working") {
		t.Errorf("REST: %d %s", code, body)
	}
	if code, _, _ := e.get("/hub/home"); code != 200 {
		t.Errorf("home: %d", code)
	}
}

// TestFailedServerOffersToTryAgain: the reason, the details, the way to try again, no stream; trying again
// gets a new pod.
func TestFailedServerOffersToTryAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.change("", memory.Fail)
	var body string
	wait.Until(t, "failed page", func() bool {
		_, _, body = e.get("/hub/spawn-pending/alice")
		return strings.Contains(body, "did not start")
	})
	for _, want := range []string{"example.org/lab:1", "&lt;b&gt;manifest unknown", `id="retry"`, "Your files are safe"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(body, "data-progress") || strings.Contains(body, `http-equiv="refresh"`) {
		t.Error("a failed page must not go on asking")
	}
	if code, to, _ := e.post("/hub/spawn/alice", nil); code != 303 || to != "/hub/spawn-pending/alice" {
		t.Errorf("try again: %d %s", code, to)
	}
	wait.Until(t, "pending again", func() bool {
		_, _, body := e.get("/hub/spawn-pending/alice")
		return strings.Contains(body, "is starting")
	})
}

// TestLoopGuard: the hub sees a running server, the gateway has no route: the browser is
// sent back a few times at most.
func TestLoopGuard(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	path := "/user/alice/lab?x=1"
	wait.Until(t, "running", func() bool {
		code, to, _ := e.get("/hub" + path)
		return code == 302 && to == "/user/alice/lab?redirects=1&x=1"
	})
	for hop := range 10 {
		code, to, _ := e.get("/hub" + path)
		if code == 503 {
			if hop != maxRedirects {
				t.Errorf("gave up after %d redirects", hop)
			}
			break
		}
		if code != 302 || hop == 9 {
			t.Fatalf("hop %d: %d %s", hop, code, to)
		}
		path = to
	}
	e.served.Store(false)
	if code, _, _ := e.get("/hub/user/alice/lab"); code != 503 {
		t.Errorf("no route at all: %d", code)
	}
	if code, _, _ := e.post("/hub/user/alice/api/kernels", nil); code != 424 {
		t.Errorf("a POST to a missing route: %d", code)
	}
}

// TestEveryMessageHasASentence: the ids that packages spawn and hub use exist in web.
func TestEveryMessageHasASentence(t *testing.T) {
	t.Parallel()
	pages, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, m := range spawn.Messages() {
		ids = append(ids, string(m))
	}
	for _, err := range []error{caller.ErrAnonymous, errForeign, caller.ErrXSRF, errNotFound, errStuck, errNotRunning, badRequest{}, errors.New("x"), &spawn.Problem{Message: spawn.MsgQuota}} {
		ids = append(ids, explain(err).title, explain(err).text)
	}
	for _, id := range ids {
		for _, lang := range []string{"en", "zh"} {
			if pages.Text(lang, id, nil) == id {
				t.Errorf("no sentence for %s in %s", id, lang)
			}
		}
	}
}

// TestAnotherReplicaStarted: the page that a start leads to may be another replica's, which sees
// the pod a moment later. It does not lead back to the form.
func TestAnotherReplicaStarted(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	answer := make(chan int, 1)
	go func() {
		code, _, _ := e.get("/hub/spawn-pending/alice")
		answer <- code
	}()
	wait.Until(t, "the page waits", func() bool { return e.cluster.Watched(server.ID{User: "alice"}) })
	if err := e.cluster.Start(t.Context(), spawn.Request{ID: server.ID{User: "alice"}}); err != nil {
		t.Fatal(err)
	}
	if code := <-answer; code != 200 {
		t.Errorf("the page that was open a moment too early: %d", code)
	}
	if code, to, _ := e.get("/hub/spawn-pending/alice/other"); code != 303 || to != "/hub/spawn/alice/other" {
		t.Errorf("negative control, a server that is not started: %d %s", code, to)
	}
}
