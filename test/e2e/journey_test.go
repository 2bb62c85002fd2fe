package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// notebook with one cell, as JupyterLab saves it.
const saveNotebook = `(async () => {
  const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/);
  const r = await fetch("/user/alice/api/contents/e2e.ipynb", {
    method: "PUT",
    headers: {"Content-Type": "application/json", "X-XSRFToken": xsrf ? xsrf[1] : ""},
    body: JSON.stringify({type: "notebook", format: "json", content: {
      nbformat: 4, nbformat_minor: 5,
      metadata: {kernelspec: {name: "python3", display_name: "Python 3", language: "python"}},
      cells: [{cell_type: "code", id: "a", metadata: {}, execution_count: null, outputs: [], source: "print(6*7)"}],
    }}),
  });
  return r.status;
})()`

const savedOutput = `(async () => {
  const r = await fetch("/user/alice/api/contents/e2e.ipynb?content=1");
  if (r.status !== 200) return "status " + r.status;
  const cell = (await r.json()).content.cells[0];
  return (cell.outputs || []).map(o => o.text || "").join("");
})()`

// TestJourney is alice's first day: log in, start, watch, compute, save, stop, come
// back, log out.
func TestJourney(t *testing.T) {
	login(t, "alice").stop() // begin without a server; the home volume may exist
	b := newBrowser(t)

	b.login("alice", contract.PathHome)
	b.run(10*time.Second, chromedp.WaitVisible(`#start`))
	b.shot("home")

	start := time.Now()
	b.run(10*time.Second, chromedp.Navigate(baseURL()+contract.PathSpawn), chromedp.WaitVisible(`#start`))
	b.shot("spawn")
	b.run(10*time.Second, chromedp.Click(`#start`), chromedp.WaitVisible(`#bar`))
	b.shot("pending")
	openLab(b)
	t.Logf("from the spawn page to a usable JupyterLab in the browser: %.1f s", time.Since(start).Seconds())
	b.shot("lab")

	if code := js[int](b, 20*time.Second, saveNotebook); code != 201 && code != 200 {
		t.Fatalf("saving a notebook answers %d", code)
	}
	runCell(b)
	b.shot("notebook")
	wait.Within(t, 20*time.Second, "42 is saved in the file", func() bool {
		return strings.TrimSpace(js[string](b, 20*time.Second, savedOutput)) == "42"
	})

	alice := login(t, "alice")
	alice.stop()
	wait.Within(t, 10*time.Second, "the open tab is told that its server stopped", func() bool {
		return js[int](b, 10*time.Second, `fetch("/user/alice/api/kernels").then(r => r.status, () => 0)`) == 424
	})
	b.run(20*time.Second, chromedp.Navigate(baseURL()+"/user/alice/lab"), chromedp.WaitVisible(`main`))
	b.shot("not-running")

	b.run(20*time.Second, chromedp.Navigate(baseURL()+contract.PathSpawn), chromedp.WaitVisible(`#start`), chromedp.Click(`#start`))
	openLab(b)
	if got := js[string](b, 20*time.Second, savedOutput); strings.TrimSpace(got) != "42" {
		t.Fatalf("after stop and start the file holds %q, want 42", got)
	}
	logoutEndsOpenTabs(b)
}

// logoutEndsOpenTabs: V1, a tab that stays open after the logout is refused.
func logoutEndsOpenTabs(b *browser) {
	b.t.Helper()
	if code := js[int](b, 10*time.Second, `fetch("/user/alice/api/kernels").then(r => r.status, () => 0)`); code != 200 {
		b.t.Fatalf("before the logout the tab gets %d, want 200", code)
	}
	second := b.newTab()
	second.run(20*time.Second, chromedp.Navigate(baseURL()+contract.PathHome), chromedp.WaitVisible(`main`))
	second.shot("home-running")
	second.run(20*time.Second, chromedp.Click(chromedp.CSS(`a[href="`+contract.PathLogout+`"], form[action="`+contract.PathLogout+`"] button`)))
	second.until(10*time.Second, `location.pathname === "`+contract.PathLogout+`"`)
	second.shot("logout")
	if code := js[int](b, 10*time.Second, `fetch("/user/alice/api/kernels").then(r => r.status, () => 0)`); code != 401 {
		b.t.Errorf("after the logout the old tab gets %d, want 401", code)
	}
}

// openLab waits until JupyterLab can be used: its launcher or a notebook shows.
func openLab(b *browser) {
	b.t.Helper()
	b.shows(90*time.Second, `.jp-Launcher, .jp-NotebookPanel`)
}

// runCell opens the notebook and runs its cell over the kernel's websocket, with
// the keyboard.
func runCell(b *browser) {
	b.t.Helper()
	b.run(30*time.Second, chromedp.Navigate(baseURL()+"/user/alice/lab/tree/e2e.ipynb"))
	b.shows(90*time.Second, `.jp-Notebook .jp-CodeCell .cm-content`)
	b.until(60*time.Second, `document.body.textContent.includes("(ipykernel) | Idle")`)
	b.until(10*time.Second, `(e => { e.focus(); return e.contains(document.activeElement); })(document.querySelector(".jp-Notebook .jp-CodeCell .cm-content"))`)
	b.run(10*time.Second, chromedp.KeyEvent("\r", chromedp.KeyModifiers(chromedp.ModifierShift)))
	b.shows(60*time.Second, `.jp-OutputArea-output pre`)
	out := js[string](b, 10*time.Second, `document.querySelector(".jp-OutputArea-output pre").textContent`)
	if strings.TrimSpace(out) != "42" {
		b.t.Fatalf("print(6*7) shows %q, want 42", out)
	}
	b.run(10*time.Second, chromedp.KeyEvent("s", chromedp.KeyModifiers(chromedp.ModifierCtrl)))
}
