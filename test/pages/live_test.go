package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web"
	"github.com/perijove/perijove/test/wait"
)

// liveSite serves a home page and its stream.
type liveSite struct {
	t      *testing.T
	url    string
	events chan string

	mu     sync.Mutex
	opened int  // streams so far
	open   int  // streams at this moment
	ended  bool // the session has ended
	page   web.Home
	cut    chan struct{} // closed to end the present stream
}

func newLiveSite(t *testing.T) *liveSite {
	t.Helper()
	s := &liveSite{t: t, events: make(chan string), cut: make(chan struct{}), page: web.Home{
		Viewer: web.Viewer{Name: "alice"}, XSRF: "x", LiveURL: "/hub/home/live", Servers: []web.Server{lineOf("", web.StateReady), lineOf("lab", web.StateStopped)},
	}}
	renderer, err := web.New()
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+contract.PathStatic, web.Static())
	mux.HandleFunc("GET /hub/home", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ended {
			renderer.Page(w, r, http.StatusUnauthorized, web.Login{Password: true, Action: contract.PathLogin, XSRF: "x"})
			return
		}
		renderer.Page(w, r, http.StatusOK, s.page)
	})
	mux.HandleFunc("GET /hub/home/live", s.stream)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	s.url = server.URL + "/hub/home"
	return s
}

func lineOf(name string, state web.ServerState) web.Server {
	s := web.Server{Name: name, Title: name, State: state, Pod: "1", OpenURL: "/user/alice/", SpawnURL: "/hub/spawn", StopURL: "/hub/stop"}
	if state == web.StateReady {
		s.RestartURL, s.Started = "/hub/restart", morning
	}
	return s
}

func (s *liveSite) stream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	ended, cut := s.ended, s.cut
	s.opened++
	s.open++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	if ended {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprint(w, "retry: 50\n\n")
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case event := <-s.events:
			_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// streams is how many were opened so far, and are open.
func (s *liveSite) streams() (opened, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.open
}

// opens reports whether more streams than n were opened.
func (s *liveSite) opens(n int) bool {
	opened, _ := s.streams()
	return opened > n
}

// endStream ends the present stream, with the session where ended says so.
func (s *liveSite) endStream(ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = ended
	close(s.cut)
	s.cut = make(chan struct{})
}

// say sends what the hub sends when these servers have changed.
func (s *liveSite) say(order []string, changed ...web.Server) {
	s.t.Helper()
	renderer, err := web.New()
	if err != nil {
		s.t.Fatal(err)
	}
	page := s.page
	page.Servers = changed
	parts, err := renderer.HomeParts("en", page)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{"order": order, "changed": parts.Servers, "usage": parts.Usage})
	if err != nil {
		s.t.Fatal(err)
	}
	select {
	case s.events <- string(data):
	case <-time.After(limit):
		s.t.Fatal("no stream is open")
	}
}

// TestHomeIsLive: what has changed is replaced and nothing else, the focus stays, a screen reader hears
// of the new state, and after the session's end the page says so.
func TestHomeIsLive(t *testing.T) {
	ctx, s := browser(t), newLiveSite(t)
	do(t, ctx, chromedp.Navigate(s.url))
	until := func(what, expression string) {
		t.Helper()
		wait.Until(t, what, func() bool { return evaluate[bool](t, ctx, expression) })
	}
	const first = `document.querySelector('[data-server=""]')`
	evaluate[any](t, ctx, `window.old = `+first+`; `+first+`.querySelector('[data-key=stop]').focus(); window.actions = document.activeElement; 0`)
	s.say([]string{"", "lab"}, lineOf("", web.StateReady), lineOf("lab", web.StatePending))
	until("the second server starts", `document.querySelector('[data-server=lab] .state').textContent.includes('Starting')`)
	if !evaluate[bool](t, ctx, `window.old === `+first+` && document.activeElement === window.actions`) {
		t.Error("what has not changed is replaced")
	}
	if got := evaluate[string](t, ctx, `document.getElementById('said').textContent`); got != "lab: Starting" {
		t.Errorf("a screen reader hears %q", got)
	}
	measured := lineOf("", web.StateReady)
	measured.Meters = []web.Meter{{Label: "home.cpu", Text: "home.cpu_of", Words: map[string]string{"Used": "1", "Most": "2"}, Bounded: true, Percent: 50}}
	s.say([]string{"", "lab"}, measured)
	until("a meter appears", first+`.querySelector('meter')?.value === 50`)
	if !evaluate[bool](t, ctx, `document.activeElement === window.actions`) {
		t.Error("a meter takes the focus away")
	}
	s.say([]string{"", "lab"}, lineOf("", web.StateRestarting))
	until("it restarts", `document.getElementById('said').textContent === 'My server: Restarting'`)
	if got := evaluate[string](t, ctx, `document.activeElement.dataset.key`); got != "stop" {
		t.Errorf("the focus is on %q", got)
	}
	s.say([]string{"new", ""}, lineOf("new", web.StateStopped))
	until("the list is another one", `[...document.querySelectorAll('#servers > li')].map(li => li.dataset.server).join() === 'new,'`)
	n, _ := s.streams()
	s.endStream(false)
	wait.Until(t, "the browser opens the next stream", func() bool { return s.opens(n) })
	s.endStream(true)
	until("the page says that the session has ended", `!!document.getElementById('password')`)
}

// TestASleepingBrowserWakes: a machine that sleeps for an hour may lose its connection without a word,
// and a page that nobody looks at needs none.
func TestASleepingBrowserWakes(t *testing.T) {
	ctx, s := browser(t), newLiveSite(t)
	do(t, ctx, chromedp.Navigate(s.url))
	is := func(state string) {
		t.Helper()
		s.say([]string{"", "lab"}, lineOf("lab", web.ServerState(state)))
		wait.Until(t, "the page shows that the server is "+state, func() bool {
			return evaluate[bool](t, ctx, `document.querySelector('[data-server=lab]').dataset.state === '`+state+`'`)
		})
	}
	is("failed")
	evaluate[any](t, ctx, `(() => { const now = Date.now; Date.now = () => now() + 3_600_000; })(), 0`)
	wait.Until(t, "after an hour of silence the browser opens another stream", func() bool { return s.opens(1) })
	is("pending")
	hidden := func(value string) {
		evaluate[any](t, ctx, `Object.defineProperty(document, 'hidden', { value: `+value+`, configurable: true }), document.dispatchEvent(new Event('visibilitychange')), 0`)
	}
	n, _ := s.streams()
	hidden("true")
	wait.Until(t, "a page that is not seen has no stream", func() bool { _, open := s.streams(); return open == 0 })
	hidden("false")
	wait.Until(t, "a page that is seen again has one", func() bool { _, open := s.streams(); return open == 1 && s.opens(n) })
	s.endStream(true)
	wait.Until(t, "the page says that the session has ended", func() bool {
		return evaluate[bool](t, ctx, `!!document.getElementById('password')`)
	})
}
