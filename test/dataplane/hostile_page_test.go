package dataplane

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// attacks is what bob's page tries when carol, an administrator, looks at it. Each gives one
// word: what the page could read, or how it was stopped.
const attacks = `<!doctype html><title>bob</title><script>
const alice = ALICE, hub = HUB;
const short = (p) => Promise.race([p, new Promise(done => setTimeout(() => done("timeout"), 5000))]);
const read = (url, init) => short(fetch(url, {credentials: "include", ...init}).then(
	async r => r.type === "opaque" ? "opaque" : r.status + ((await r.text()).includes("marker") ? " read" : ""), () => "blocked"));
const socket = (url) => short(new Promise(done => {
	const ws = new WebSocket(url.replace(/^http/, "ws"));
	ws.onopen = () => done("open"); ws.onerror = () => done("blocked");
}));
const frame = (url) => short(new Promise(done => {
	const f = document.createElement("iframe");
	f.onload = () => { let text = ""; try { text = f.contentDocument.body.innerText; } catch { text = ""; } done(text.includes("marker") || text.includes("carol") ? "read" : "blocked"); };
	f.src = url; document.body.append(f);
}));
const post = (url) => short(new Promise(done => {
	const f = document.createElement("iframe"), form = document.createElement("form");
	f.name = "into" + Math.random(); form.target = f.name; form.method = "post"; form.action = url; form.innerHTML = "<input name=_xsrf value=guess>";
	document.body.append(f, form);
	form.submit(); setTimeout(() => done("sent"), 1500);
}));
const script = (url) => short(new Promise(done => {
	const s = document.createElement("script"); s.src = url; s.onload = () => done("loaded"); s.onerror = () => done("blocked"); document.body.append(s);
}));
const popup = (url) => short(new Promise(done => {
	const w = window.open(url);
	if (!w) { done("no window"); return; }
	setTimeout(() => { try { done(w.document.body.innerText.includes("marker") ? "read" : "empty"); } catch { done("blocked"); } w.close(); }, 1500);
}));
window.attack = async () => ({
	"read server": await read(alice + "/user/alice/api"),
	"read server, no-cors": await read(alice + "/user/alice/nocors", {mode: "no-cors"}),
	"write server": await read(alice + "/user/alice/written", {method: "POST"}),
	"write server, no-cors": await read(alice + "/user/alice/written", {method: "POST", mode: "no-cors"}),
	"post server": await post(alice + "/user/alice/posted"),
	"frame server": await frame(alice + "/user/alice/framed"),
	"window of server": await popup(alice + "/user/alice/opened"),
	"script": await script(alice + "/user/alice/script.js"),
	"socket": await socket(alice + "/user/alice/ws"),
	"read hub": await read(hub + "/hub/api/user"),
	"frame hub": await frame(hub + "/hub/home"),
	"write hub": await read(hub + "/hub/api/users/carol/server", {method: "POST"}),
	"post hub": await post(hub + "/hub/spawn/carol"),
});
</script>bob's page`

// asked is what a pod was asked for.
type asked struct {
	mu   sync.Mutex
	list []string
}

func (a *asked) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.list, "\n")
}

// pod answers everything with body.
func pod(t *testing.T, ip, body, kind string) (*asked, string) {
	t.Helper()
	l, err := net.Listen("tcp", ip+":8888")
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.list = append(a.list, r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return a, l.Addr().String()
}

// TestS8_HostilePage opens bob's page in a real browser in both modes. With one host the
// page may do what its visitor may do at other servers, as docs/threat-model.md says, and
// only the hub defends itself; these lines show as well that the attacks work.
func TestS8_HostilePage(t *testing.T) {
	for name, c := range map[string]struct {
		env   func(*testing.T) *env
		alice string
		bob   string
		want  map[string]string
		// reached are the paths at alice's pod that an attack got to, besides her visit.
		reached []string
	}{
		"one host": {
			env: newEnv, alice: "http://hub.test:8000", bob: "http://hub.test:8000",
			want: map[string]string{
				"read server": "200 read", "write server": "200 read", "frame server": "read", "window of server": "read", "socket": "open",
				"frame hub": "blocked", "write hub": "403", "read hub": "200",
			},
			reached: []string{"GET /user/alice/api", "POST /user/alice/written", "POST /user/alice/posted", "GET /user/alice/framed", "GET /user/alice/ws", "GET /user/alice/script.js"},
		},
		"a host for each person": {
			env:   func(t *testing.T) *env { return newTLSEnvWith(t, func(s *env) { s.userDomain = "hub.test" }) },
			alice: aliceHost, bob: bobHost,
			want: map[string]string{
				"read server": "blocked", "read server, no-cors": "opaque", "write server": "blocked", "write server, no-cors": "opaque", "frame server": "blocked", "window of server": "blocked",
				"script": "blocked", "socket": "blocked", "read hub": "blocked", "frame hub": "blocked", "write hub": "blocked",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.env(t)
			page := strings.NewReplacer("ALICE", `"`+c.alice+`"`, "HUB", `"`+s.base()+`"`).Replace(attacks)
			victim, addr := pod(t, "10.99.0.1", `{"marker": 1}`, "text/plain")
			s.addPod("jupyter-alice", server.ID{User: "alice"}, addr)
			_, addr = pod(t, "10.99.0.2", page, "text/html")
			s.addPod("jupyter-bob", server.ID{User: "bob"}, addr)
			carol := s.chromium()
			carol.login("carol")
			carol.open(c.alice + "/user/alice/visit")
			carol.until("alice's page", `document.body?.innerText.includes("marker")`)
			carol.open(c.bob + "/user/bob/page")
			carol.until("bob's page", `typeof attack === "function"`)
			s.knowsKeys()

			var got map[string]string
			if err := json.Unmarshal([]byte(carol.eval(`attack().then(JSON.stringify)`)), &got); err != nil {
				t.Fatal(err)
			}
			for attack, want := range c.want {
				if got[attack] != want {
					t.Errorf("%s: %q, want %q", attack, got[attack], want)
				}
			}
			t.Logf("%v", got)
			seen := victim.all()
			for _, path := range c.reached {
				if !strings.Contains(seen, path) {
					t.Errorf("negative control: %s did not reach alice's pod", path)
				}
			}
			// A link, in a window too, is carol's own way in.
			if rest := strings.NewReplacer("GET /user/alice/visit", "", "GET /user/alice/opened", "").Replace(seen); len(c.reached) == 0 && strings.Contains(rest, "/user/alice/") {
				t.Errorf("alice's pod was asked:\n%s", seen)
			}
			if pods := s.actions("create", "pods"); pods > 2 {
				t.Error("a server was started for carol")
			}
		})
	}
}

// actions counts what was asked of the cluster.
func (s *env) actions(verb, resource string) (n int) {
	for _, a := range s.client.Actions() {
		if a.GetVerb() == verb && a.GetResource().Resource == resource {
			n++
		}
	}
	return n
}

// tab is a person's real browser.
type tab struct {
	s   *env
	ctx context.Context
}

func (s *env) chromium() *tab {
	s.t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"),
		chromedp.NoSandbox, // tests run as root
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-popup-blocking", true),
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors", true), // of the test's own authority
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	s.t.Cleanup(func() { stop(); stopAlloc() })
	if err := chromedp.Do(ctx); err != nil {
		s.t.Fatalf("start Chromium (install it with `make deps`): %v", err)
	}
	return &tab{s, ctx}
}

func (b *tab) open(address string) {
	b.s.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		b.s.t.Fatalf("open %s: %v", address, err)
	}
}

func (b *tab) try(expression string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](expression, chromedp.EvalAwaitPromise))
}

func (b *tab) eval(expression string) string {
	b.s.t.Helper()
	out, err := b.try(expression)
	if err != nil {
		b.s.t.Fatal(err)
	}
	return out
}

// until waits for a condition in the page, whichever page there is by then.
func (b *tab) until(what, condition string) {
	b.s.t.Helper()
	wait.Until(b.s.t, what+" in the browser", func() bool {
		out, err := b.try(`String(` + condition + `)`)
		return err == nil && out == "true"
	})
}

// login posts the form.
func (b *tab) login(name string) {
	b.s.t.Helper()
	b.open(b.s.base() + "/hub/login?next=%2Fhub%2Fhome")
	b.fill(name)
	b.until("the home page", `location.pathname === "/hub/home"`)
}

func (b *tab) fill(name string) {
	b.s.t.Helper()
	b.until("the login form", `document.querySelector("input[name=password]") !== null`)
	b.eval(`document.querySelector("input[name=username]").value = "` + name + `"; document.querySelector("input[name=password]").value = "` + name + `-password";
		document.querySelector("input[name=password]").form.requestSubmit(); ""`)
}

// A person's bookmark leads through the form, which browsers let lead to our own host only,
// to the person's host.
func TestLoginInTheBrowserLeadsToOnesOwnHost(t *testing.T) {
	s, _, _ := newPeopleEnv(t)
	alice := s.chromium()
	alice.open(aliceHost + "/user/alice/lab?x=1")
	alice.fill("alice")
	alice.until("alice's page", `location.href === "`+aliceHost+`/user/alice/lab?x=1" && document.body.innerText.includes("marker")`)
}
