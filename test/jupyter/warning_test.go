package jupyter

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/repo"
	"github.com/perijove/perijove/test/wait"
)

// warns is the hub's answer about alice's server: it is stopped at that time, and keep is on the button.
func warns(at time.Time, keep string) string {
	return fmt.Sprintf(`{"servers": {"": {"ready": true, "url": "/user/alice/", "notices": [], "warning": {"id": "warning.idle", "text": "The server is not <b>in</b> use and will be stopped: 1 h are allowed. Kernels and terminals lose what they hold.", "time": %q, "keep": %q}}}}`,
		at.UTC().Format(time.RFC3339Nano), keep)
}

// TestLabWarnsAndKeeps: JupyterLab says that its server will be stopped, and when. The button is use, which
// the server says when it is asked; the same warning is not shown again, a later one is. What nothing puts
// off has no button.
func TestLabWarnsAndKeeps(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id)
	ctx := l.page(t, "/user/alice/lab")
	base := l.origin + id.Prefix()
	shows := func(what string, n int) {
		t.Helper()
		wait.Within(t, 60*time.Second, what, func() bool { return len(eval[[]string](t, ctx, toasts)) == n })
	}
	at := time.Now().Add(5*time.Minute + 20*time.Second)
	l.set(warns(at, "Keep it running"), false)
	l.reload(t, ctx, "/user/alice/lab")
	shows("the warning is shown", 1)
	if text := eval[[]string](t, ctx, toasts)[0]; !strings.Contains(text, "(5 min) The server is not <b>in</b> use") {
		t.Errorf("it says %q", text)
	}
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo.Output(t, "jupyter"), "lab-warning.png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
	idles(t, base)
	const button = `[...document.querySelectorAll(".Toastify__toast .jp-toast-button")].find(e => e.textContent.includes("Keep it running"))`
	_ = eval[bool](t, ctx, `(`+button+`.click(), true)`)
	wait.Within(t, 10*time.Second, "the button is use", func() bool { return use(t, base).Idle < unused })
	shows("the warning goes", 0)
	asked := len(l.questions())
	wait.Within(t, 90*time.Second, "the hub is asked again", func() bool { return len(l.questions()) > asked })
	shows("the same is not shown again", 0)

	l.set(warns(at.Add(time.Hour), ""), false)
	l.reload(t, ctx, "/user/alice/lab")
	shows("a later one is shown", 1)
	if eval[bool](t, ctx, `Boolean(`+button+`)`) {
		t.Error("a warning of what nothing puts off has a button")
	}
}

// TestS9_KeepNeedsTheToken: another site keeps no server, and neither does a link.
func TestS9_KeepNeedsTheToken(t *testing.T) {
	id := server.ID{User: "alice"}
	base := start(t, id) + id.Prefix()
	idles(t, base)
	for name, c := range map[string]struct {
		method  string
		headers map[string]string
		want    int
	}{
		"a foreign form":     {"POST", gateway(), http.StatusForbidden},
		"a link":             {"GET", gateway(), http.StatusMethodNotAllowed},
		"around the gateway": {"POST", nil, http.StatusForbidden},
	} {
		if code, body := ask(t, c.method, base+"perijove/keep", c.headers); code != c.want {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if u := use(t, base); u.Idle < unused {
		t.Errorf("one of them is use: %+v", u)
	}
	if code, _ := ask(t, "POST", base+"perijove/keep", gateway(contract.HeaderByToken, "true")); code != http.StatusNoContent || use(t, base).Idle >= unused {
		t.Errorf("control: a script with a token: %d", code)
	}
}
