package jupyter

import (
	"net/http"
	"strings"
	"testing"
	"time"

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

// idles waits until the server has seen nothing for some seconds.
func idles(t *testing.T, base string) {
	t.Helper()
	wait.Within(t, 30*time.Second, "the server is idle", func() bool { u := use(t, base); return !u.Busy && u.Idle >= 3*time.Second })
}

// TestWhatIsUse: a real JupyterLab counts what its user does, and nothing that an open tab asks for
// by itself. A kernel that computes without a word is busy.
func TestWhatIsUse(t *testing.T) {
	id := server.ID{User: "alice"}
	base := start(t, id) + id.Prefix()
	script := gateway(contract.HeaderByToken, "true")
	idles(t, base)
	for range 2 {
		for _, poll := range []string{
			"api/kernels?1", "api/sessions?1", "api/terminals?1", "api/kernelspecs?1", "api/contents?content=1&hash=0&1", "api/status", "api/me",
			"lab/api/settings", "lab/api/workspaces", "lab/api/translations", "lab",
		} {
			if code, body := ask(t, "GET", base+poll, gateway("Sec-Fetch-Mode", "cors")); code != http.StatusOK {
				t.Fatalf("%s: %d %s", poll, code, body)
			}
		}
	}
	if u := use(t, base); u.Busy || u.Idle < 3*time.Second {
		t.Errorf("an open tab that only asks keeps the server in use: %+v", u)
	}
	for what, do := range map[string]func(){
		"a changed file": func() {
			if code, body := ask(t, "POST", base+"api/contents", script); code != http.StatusCreated {
				t.Fatalf("%d %s", code, body)
			}
		},
		"an opened page":   func() { _, _ = ask(t, "GET", base+"lab", gateway("Sec-Fetch-Mode", "navigate")) },
		"a kernel's words": func() { newKernel(t, http.DefaultClient, base).ask("kernel_info", map[string]any{}, nil) },
		"a terminal":       func() { typeInto(t, base) },
	} {
		idles(t, base)
		do()
		if u := use(t, base); u.Idle > 2*time.Second {
			t.Errorf("%s is no use: %+v", what, u)
		}
	}
	idles(t, base)
	newKernel(t, http.DefaultClient, base).send("execute", map[string]any{
		"code": "import time; time.sleep(20)", "silent": true, "store_history": false, "user_expressions": map[string]string{}, "allow_stdin": false, "stop_on_error": true,
	})
	wait.Within(t, 15*time.Second, "a silent kernel has been busy for seconds", func() bool { u := use(t, base); return u.Busy && u.Idle >= 2*time.Second })
	if u := use(t, base); u.Over(time.Second) {
		t.Errorf("a working kernel is not used: %+v", u)
	}
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
