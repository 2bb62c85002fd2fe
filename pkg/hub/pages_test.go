package hub

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/pkg/web/caller"
)

// TestOneLife follows a server from the home page through start, progress and use to
// its stop, as a browser without script would.
func TestOneLife(t *testing.T) {
	p := newPlatform(t)
	if code, to, _ := p.get("/hub/"); code != 302 || to != "/hub/home" {
		t.Fatalf("/hub/: %d %s", code, to)
	}
	if code, _, body := p.get("/hub/home"); code != 200 || !strings.Contains(body, `action="/hub/spawn/alice"`) {
		t.Fatalf("home: %d %s", code, body)
	}
	escaped := "/user/alice/lab/tree/a%20b.ipynb"
	if code, to, _ := p.get("/hub" + escaped); code != 424 || to != "" {
		t.Fatalf("not running: %d %s", code, to)
	}
	code, _, body := p.get("/hub/spawn/alice?next=" + url.QueryEscape(escaped))
	if code != 200 || !strings.Contains(body, "Jupyter &lt;Lab&gt;") || !strings.Contains(body, escaped) {
		t.Fatalf("spawn form: %d %s", code, body)
	}
	if p.pods() != 0 {
		t.Fatal("S9: a GET started a server")
	}
	pendingPage := "/hub/spawn-pending/alice?next=" + url.QueryEscape(escaped)
	if code, to, body := p.post("/hub/spawn/alice", url.Values{"next": {escaped}}); code != 303 || to != pendingPage {
		t.Fatalf("start: %d %s %s", code, to, body)
	}
	if code, _, body := p.get(pendingPage); code != 200 || !strings.Contains(body, "/hub/api/users/alice/server/progress") {
		t.Fatalf("pending: %d %s", code, body)
	}
	if code, to, _ := p.get("/hub/user/alice/lab?reset"); code != 303 || !strings.HasPrefix(to, "/hub/spawn-pending/alice?next=") {
		t.Errorf("while pending: %d %s", code, to)
	}
	p.served.Store(false)
	p.status("jupyter-alice", answer)
	if code, _, body := p.get(pendingPage); code != 200 {
		t.Errorf("left for the server before its route is known: %d %s", code, body)
	}
	p.served.Store(true)
	p.until("redirect into the server", func() bool {
		code, to, _ := p.get(pendingPage)
		return code == 302 && to == escaped
	})
	if code, to, _ := p.get("/hub/"); code != 302 || to != "/user/alice/" {
		t.Errorf("/hub/ while running: %d %s", code, to)
	}
	if _, _, body := p.get("/hub/home"); !strings.Contains(body, `href="/user/alice/"`) || !strings.Contains(body, `action="/hub/stop/alice"`) {
		t.Errorf("home while running: %s", body)
	}
	if code, to, _ := p.post("/hub/stop/alice", nil); code != 303 || to != "/hub/home" || p.pods() != 0 {
		t.Errorf("stop: %d %s, %d pods", code, to, p.pods())
	}
	claims, err := p.client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 1 {
		t.Errorf("home volume after the stop: %v %v", claims.Items, err)
	}
}

// TestQuotaIsShown: a start that the cluster refuses says so on the answer to the form, offers
// to try again, and escapes the cluster's words.
func TestQuotaIsShown(t *testing.T) {
	p := newPlatform(t)
	p.client.PrependReactor("create", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("exceeded quota: <script>"))
	})
	code, _, body := p.post("/hub/spawn/alice", url.Values{"next": {"/user/alice/lab"}})
	for _, want := range []string{"There is no room", `action="/hub/spawn/alice"`, `id="retry"`, `value="/user/alice/lab"`, "&lt;script&gt;"} {
		if !strings.Contains(body, want) {
			t.Errorf("%d: the page lacks %s\n%s", code, want, body)
		}
	}
	if code != 403 || strings.Contains(body, "<script>") {
		t.Errorf("%d %s", code, body)
	}
	if code, _, body := p.api("POST", "/hub/api/users/alice/server", "", "Accept-Language", "zh-CN"); code != 403 || !strings.Contains(body, "资源不足") {
		t.Errorf("REST: %d %s", code, body)
	}
}

func TestClusterAwayIs503(t *testing.T) {
	p := newPlatform(t)
	p.client.PrependReactor("get", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("the API is away")
	})
	for _, path := range []string{"/hub/home", "/hub/spawn", "/hub/spawn-pending/alice"} {
		if code, _, body := p.get(path); code != 503 || !strings.Contains(body, "Running servers go on working") {
			t.Errorf("%s: %d %.300s", path, code, body)
		}
	}
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 503 {
		t.Errorf("start: %d", code)
	}
}

// TestFailedServerOffersToTryAgain: the reason, the details, the way to try again, no stream; trying again
// gets a new pod.
func TestFailedServerOffersToTryAgain(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.status("jupyter-alice", fail)
	var body string
	p.until("failed page", func() bool {
		_, _, body = p.get("/hub/spawn-pending/alice")
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
	if code, to, _ := p.post("/hub/spawn/alice", nil); code != 303 || to != "/hub/spawn-pending/alice" {
		t.Errorf("try again: %d %s", code, to)
	}
	p.until("pending again", func() bool {
		_, _, body := p.get("/hub/spawn-pending/alice")
		return strings.Contains(body, "is starting")
	})
}

// TestLoopGuard: the hub sees a running server, the gateway has no route: the browser is
// sent back a few times at most.
func TestLoopGuard(t *testing.T) {
	p := newPlatform(t)
	if code, _, _ := p.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	p.status("jupyter-alice", answer)
	path := "/user/alice/lab?x=1"
	p.until("running", func() bool {
		code, to, _ := p.get("/hub" + path)
		return code == 302 && to == "/user/alice/lab?redirects=1&x=1"
	})
	for hop := range 10 {
		code, to, _ := p.get("/hub" + path)
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
	p.served.Store(false)
	if code, _, _ := p.get("/hub/user/alice/lab"); code != 503 {
		t.Errorf("no route at all: %d", code)
	}
	if code, _, _ := p.post("/hub/user/alice/api/kernels", nil); code != 424 {
		t.Errorf("a POST to a missing route: %d", code)
	}
}

// TestEveryMessageHasASentence: the ids that packages spawn and hub use exist in web.
func TestEveryMessageHasASentence(t *testing.T) {
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
