package jupyter

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// lab is a real JupyterLab behind a gateway of the test, which answers for the hub too.
type lab struct {
	origin string
	mu     sync.Mutex
	hub    http.HandlerFunc
	asked  []*http.Request
	broken bool     // the way to the server is
	to     *url.URL // the server's process
	sent   []string // paths of what it sent
	assets http.Handler
	files  []string // addresses that assets was asked for
}

func newLab(t *testing.T, id server.ID, env ...string) *lab {
	t.Helper()
	l := &lab{hub: func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"servers": {}}`) }}
	l.lead(t, start(t, id, env...))
	proxy := &httputil.ReverseProxy{ModifyResponse: l.note, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(l.server())
		r.Out.Host = r.In.Host
		for k, v := range gateway() {
			r.Out.Header.Set(k, v)
		}
	}}
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hub, broken := l.see(r)
		switch {
		case strings.HasPrefix(r.URL.Path, "/hub/"):
			hub(w, r)
		case strings.HasPrefix(r.URL.Path, contract.PathAssets):
			l.share(w, r)
		case broken:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { gate.CloseClientConnections(); gate.Close() })
	l.origin = gate.URL
	return l
}

func (l *lab) see(r *http.Request) (hub http.HandlerFunc, broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/hub/api/users/") {
		l.asked = append(l.asked, r)
	}
	return l.hub, l.broken
}

// share answers for the assets service.
func (l *lab) share(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.files = append(l.files, r.URL.RequestURI())
	assets := l.assets
	l.mu.Unlock()
	assets.ServeHTTP(w, r)
}

// shared returns what the assets service was asked for since the last call.
func (l *lab) shared() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := l.files
	l.files = nil
	return files
}

// lead leads the gateway to another process of the server.
func (l *lab) lead(t *testing.T, origin string) {
	t.Helper()
	to, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

func (l *lab) server() *url.URL {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to
}

// note keeps the path of what the server sends. "Not modified" sends nothing.
func (l *lab) note(r *http.Response) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.StatusCode == http.StatusOK {
		l.sent = append(l.sent, r.Request.URL.Path)
	}
	return nil
}

// downloads returns the paths of what the server sent since the last call.
func (l *lab) downloads() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := l.sent
	l.sent = nil
	return sent
}

// set changes what the hub says of the one server at url, and whether the way to it is broken.
func (l *lab) set(body string, broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = broken
	l.hub = func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, body) }
}

func (l *lab) questions() []*http.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*http.Request{}, l.asked...)
}

// page opens JupyterLab in a Chromium of its own, and waits until it can be used.
func (l *lab) page(t *testing.T, path string) context.Context {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, // tests run as root
		chromedp.WindowSize(1280, 900), chromedp.Flag("accept-lang", "en"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(func() { stop(); stopAlloc() })
	if err := chromedp.Do(ctx, chromedp.Navigate(l.origin+path)); err != nil {
		t.Fatalf("start Chromium (install it with `make deps`): %v", err)
	}
	usable(t, ctx)
	return ctx
}

// reload opens it again in the same Chromium.
func (l *lab) reload(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	if err := chromedp.Do(ctx, chromedp.Navigate(l.origin+path)); err != nil {
		t.Fatal(err)
	}
	usable(t, ctx)
}

func usable(t *testing.T, ctx context.Context) {
	t.Helper()
	wait.Within(t, time.Minute, "JupyterLab is usable", func() bool {
		return eval[bool](t, ctx, `document.querySelector(".jp-Launcher") !== null`)
	})
}

func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := chromedp.Run(limited, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// toasts are the notifications that JupyterLab shows, but for its own about Jupyter's news, which
// the chart's settings switch off.
const toasts = `[...document.querySelectorAll(".Toastify__toast")].map(e => e.textContent).filter(e => !e.includes("Jupyter news"))`

// said is the hub's answer about alice's server at path, with one notice of that time.
func said(path, at string) string {
	return fmt.Sprintf(`{"servers": {"": {"ready": true, "url": %q, "notices": [{"id": "notice.oom", "time": %q, "text": "Out of <b>memory</b>: 1 GiB."}]},
		"b": {"ready": true, "url": "/user/other/", "notices": [{"id": "notice.oom", "time": "2027-01-01T00:00:00Z", "text": "Of another server."}]}}}`, path, at)
}

// TestLabShowsNotices: JupyterLab shows a notice of the hub about its own server once, when the
// server is back, and the next one later.
func TestLabShowsNotices(t *testing.T) {
	id := server.ID{User: "张 三@x.org"}
	l := newLab(t, id)
	ctx := l.page(t, id.Prefix()+"lab")
	asks := func(what string) {
		t.Helper()
		asked := len(l.questions())
		wait.Within(t, 40*time.Second, what, func() bool { return len(l.questions()) > asked })
	}
	shows := func(what string, n int) {
		t.Helper()
		wait.Within(t, 40*time.Second, what, func() bool { return len(eval[[]string](t, ctx, toasts)) == n })
		for _, text := range eval[[]string](t, ctx, toasts) {
			if !strings.Contains(text, "Out of <b>memory</b>: 1 GiB.") {
				t.Errorf("%s: it shows %q", what, text)
			}
		}
	}
	const first, second = "2026-11-26T12:00:00Z", "2026-11-26T13:00:00Z"
	wait.Within(t, 10*time.Second, "the hub is asked", func() bool { return len(l.questions()) > 0 })
	l.set(said(id.Prefix(), first), true)
	asks("the hub is asked after the connection broke")
	shows("without its server it shows nothing", 0)
	l.set(said(id.Prefix(), first), false)
	shows("the notice is shown when the server is back", 1)

	l.reload(t, ctx, id.Prefix()+"lab")
	l.set(said(id.Prefix(), first), true)
	asks("the hub is asked by the new page")
	l.set(said(id.Prefix(), second), false)
	shows("of the old notice and a later one only the later one", 1)
	for _, r := range l.questions() {
		if r.Method != http.MethodGet || r.URL.Path != "/hub/api/users/"+id.User || strings.Contains(r.Header.Get("Accept"), "html") {
			t.Errorf("a question that counts as use of the session: %s %s, Accept %s", r.Method, r.URL, r.Header.Get("Accept"))
		}
	}
}

// TestLabSurvivesTheHub: JupyterLab opens and says nothing, whatever the hub answers.
func TestLabSurvivesTheHub(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id)
	ctx := l.page(t, "/user/alice/lab")
	show := func(body string) {
		t.Helper()
		l.set(body, false)
		asked := len(l.questions())
		l.reload(t, ctx, "/user/alice/lab")
		wait.Within(t, 10*time.Second, "the hub is asked", func() bool { return len(l.questions()) > asked })
	}
	for _, body := range []string{
		"<html>", "null", `{"servers": {"": null}}`, `{"servers": {"": {"ready": true, "url": "%", "notices": 7}}}`, `{"servers": {"": {"ready": true, "url": "/user/alice/", "notices": [null]}}}`,
	} {
		show(body)
		if got := eval[[]string](t, ctx, toasts); len(got) != 0 || !eval[bool](t, ctx, `document.querySelector(".jp-Launcher") !== null`) {
			t.Errorf("%q: it shows %q", body, got)
		}
	}
	show(said("/user/alice/", "2026-11-26T12:00:00Z"))
	wait.Within(t, 10*time.Second, "control: a good answer is shown", func() bool { return len(eval[[]string](t, ctx, toasts)) == 1 })
}

// TestLabAsksNoOtherOrigin: with a host for each user the hub is another origin.
func TestLabAsksNoOtherOrigin(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id, "PERIJOVE_HUB_ORIGIN=http://hub.test")
	ctx := l.page(t, "/user/alice/lab")
	if !eval[bool](t, ctx, `"@perijove/notices" in window._JUPYTERLAB`) {
		t.Error("negative control: the extension is not there")
	}
	if got := l.questions(); len(got) != 0 {
		t.Errorf("%d questions", len(got))
	}
}
