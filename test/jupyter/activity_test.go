package jupyter

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/cull"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// replies asks a real server what the spawner asks before it stops an idle one.
func replies(t *testing.T, base string) cull.Replies {
	t.Helper()
	one := func(path string) (string, []byte) {
		t.Helper()
		resp, body := exchange(t, http.DefaultClient, http.MethodGet, base+path, gateway())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %d %s", path, resp.StatusCode, body)
		}
		return resp.Header.Get("Date"), body
	}
	var r cull.Replies
	r.Date, r.Kernels = one(cull.PathKernels)
	_, r.Terminals = one(cull.PathTerminals)
	_, r.Status = one(cull.PathStatus)
	return r
}

func use(t *testing.T, base string) cull.Use {
	t.Helper()
	u, err := cull.Read(replies(t, base))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// unused is for how long a server has seen nothing where a test waits for that.
const unused = 2 * time.Second

// idles waits until the server has seen nothing for some seconds.
func idles(t *testing.T, base string) {
	t.Helper()
	wait.Within(t, 30*time.Second, "the server is idle", func() bool { u := use(t, base); return !u.Busy && u.Idle >= unused })
}

// TestWhatIsUse: a real JupyterLab counts what its user does, and nothing that an open tab asks for
// by itself. A kernel that computes without a word is busy.
func TestWhatIsUse(t *testing.T) {
	id := server.ID{User: "alice"}
	base := start(t, id) + id.Prefix()
	const html = "text/html,application/xhtml+xml"
	script := gateway(contract.HeaderByToken, "true")
	idles(t, base)
	for range 2 {
		for _, poll := range []string{
			"api/kernels?1", "api/sessions?1", "api/terminals?1", "api/kernelspecs?1", "api/contents?content=1&hash=0&1", "api/status", "api/me",
			"lab/api/settings", "lab/api/workspaces", "lab/api/translations", "lab",
		} {
			if code, body := ask(t, "GET", base+poll, gateway("Sec-Fetch-Mode", "cors", "Accept", "text/html, */*")); code != http.StatusOK {
				t.Fatalf("%s: %d %s", poll, code, body)
			}
		}
	}
	if u := use(t, base); u.Busy || u.Idle < unused {
		t.Errorf("an open tab that only asks keeps the server in use: %+v", u)
	}
	for what, do := range map[string]func(){
		"a changed file": func() {
			if code, body := ask(t, "POST", base+"api/contents", script); code != http.StatusCreated {
				t.Fatalf("%d %s", code, body)
			}
		},
		"an opened page":   func() { _, _ = ask(t, "GET", base+"lab", gateway("Sec-Fetch-Mode", "navigate", "Accept", html)) },
		"one over http":    func() { _, _ = ask(t, "GET", base+"lab", gateway("Accept", html)) },
		"a kernel's words": func() { newKernel(t, http.DefaultClient, base).ask("kernel_info", map[string]any{}, nil) },
		"a terminal":       func() { typeInto(t, base) },
	} {
		idles(t, base)
		do()
		if u := use(t, base); u.Idle >= unused {
			t.Errorf("%s is no use: %+v", what, u)
		}
	}
	idles(t, base)
	newKernel(t, http.DefaultClient, base).send("execute", map[string]any{
		"code": "import time; time.sleep(20)", "silent": true, "store_history": false, "user_expressions": map[string]string{}, "allow_stdin": false, "stop_on_error": true,
	})
	wait.Within(t, 15*time.Second, "a silent kernel has been busy for seconds", func() bool { u := use(t, base); return u.Busy && u.Idle >= unused })
	if u := use(t, base); u.Over(time.Second) {
		t.Errorf("a working kernel is not used: %+v", u)
	}
}

// TestOpenTabIsNoUse: a real tab with a console goes on asking for kernels and terminals, and its
// server is idle all the same.
func TestOpenTabIsNoUse(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id)
	base := l.origin + id.Prefix()
	ctx := l.page(t, id.Prefix()+"lab")
	wait.Within(t, 30*time.Second, "the launcher offers a console", func() bool {
		return eval[bool](t, ctx, `(e => { e?.click(); return Boolean(e); })(document.querySelector('.jp-LauncherCard[data-category="Console"]'))`)
	})
	wait.Within(t, 30*time.Second, "the console's kernel answers", func() bool {
		return eval[bool](t, ctx, `document.body.textContent.includes("enhanced Interactive Python")`)
	})
	typeInto(t, base) // a terminal that goes on
	idles(t, base)
	const asked = `performance.getEntriesByType("resource").filter(e => e.name.includes("/api/")).length`
	before := eval[int](t, ctx, asked)
	wait.Within(t, 60*time.Second, "the server is idle for longer than the tab waits between two questions", func() bool { return use(t, base).Idle >= 15*time.Second })
	if after := eval[int](t, ctx, asked); after <= before {
		t.Errorf("negative control: the tab has asked %d times, and asked %d times before", after, before)
	}
	_ = eval[bool](t, ctx, `(e => { e.focus(); return true; })(document.querySelector(".jp-CodeConsole-input .cm-content"))`)
	for _, keys := range []chromedp.Action[chromedp.Void]{chromedp.KeyEvent("1+1"), chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierShift))} {
		if err := chromedp.Do(ctx, keys); err != nil {
			t.Fatal(err)
		}
	}
	wait.Within(t, 20*time.Second, "what the user types is use", func() bool { return use(t, base).Idle < 10*time.Second })
}

// typeInto opens a terminal and types into it.
func typeInto(t *testing.T, base string) {
	t.Helper()
	code, body := ask(t, "POST", base+"api/terminals", gateway(contract.HeaderByToken, "true"))
	if code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	headers := http.Header{}
	for k, v := range gateway() {
		headers.Set(k, v)
	}
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(base, "http")+"terminals/websocket/1", &websocket.DialOptions{HTTPHeader: headers})
	if err != nil {
		t.Fatalf("the terminal's websocket: %v", err)
	}
	defer func() { _ = conn.CloseNow() }()
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(`["stdin", "echo typed\r"]`)); err != nil {
		t.Fatal(err)
	}
	for {
		_, said, err := conn.Read(t.Context())
		if err != nil {
			t.Fatalf("the terminal says nothing: %v", err)
		}
		if strings.Contains(string(said), "typed") {
			return
		}
	}
}
