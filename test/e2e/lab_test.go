package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// menuItem finds an item of JupyterLab's menus by its label.
func menuItem(kind, label string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".%s")].find(e => e.textContent.trim() === %q && e.getClientRects().length > 0)`, kind, label)
}

// point moves the mouse to an element, which JupyterLab's menus want before a click, and clicks. It
// waits until the element is where it will stay: menus are laid out after they are there.
func (b *browser) point(element string) {
	b.t.Helper()
	b.until(30*time.Second, `(() => {
		const e = `+element+`, r = e?.getBoundingClientRect();
		if (!r || r.width === 0) return false;
		const at = [r.x + r.width / 2, r.y + r.height / 2], stays = String(at) === window.e2eLast;
		window.e2eLast = String(at);
		return stays && e.contains(document.elementFromPoint(...at));
	})()`)
	at := js[[]float64](b, 10*time.Second, `window.e2eLast.split(",").map(Number)`)
	b.run(10*time.Second, chromedp.MouseEvent("mouseMoved", at[0], at[1]), chromedp.MouseClickXY(at[0], at[1]))
}

// opens returns the tab that do opens.
func (b *browser) opens(do func()) *browser {
	b.t.Helper()
	before := b.tabs()
	do()
	var id target.ID
	wait.Within(b.t, 20*time.Second, "a tab is opened", func() bool {
		for _, tab := range b.tabs() {
			if !slices.Contains(before, tab) {
				id = tab
			}
		}
		return id != ""
	})
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	b.t.Cleanup(stop)
	if err := chromedp.Do(ctx, front()); err != nil {
		b.t.Fatalf("go to the new tab: %v", err)
	}
	return &browser{t: b.t, ctx: ctx}
}

func (b *browser) tabs() []target.ID {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	all, err := chromedp.Targets(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var ids []target.ID
	for _, one := range all {
		if one.Type == "page" {
			ids = append(ids, one.TargetID)
		}
	}
	return ids
}

// TestInsideJupyterLab: the hub's menu, the dialog of a stopped server and the logout, clicked
// through; and what the server is told of its user and its address.
func TestInsideJupyterLab(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	alice.spawn()
	b := newBrowser(t)
	b.login("alice", "/user/alice/lab")
	openLab(b)
	var me struct{ Username, Name, Initials, Color string }
	if err := json.Unmarshal([]byte(js[string](b, 20*time.Second, `fetch("/user/alice/api/me").then(r => r.json()).then(m => JSON.stringify(m.identity))`)), &me); err != nil {
		t.Fatal(err)
	}
	if me.Username != "alice" || me.Name != "Alice Adams" || me.Initials != "AA" || me.Color == "" {
		t.Errorf("JupyterLab knows %+v", me)
	}
	told := mustPython(t, "alice", `import os; print(*sorted(f"{k}={v}" for k, v in os.environ.items() if k.startswith("JUPYTERHUB_")))`)
	if want := "JUPYTERHUB_API_URL=" + baseURL() + "/hub/api JUPYTERHUB_BASE_URL=/ JUPYTERHUB_HOST= JUPYTERHUB_PUBLIC_HUB_URL=" + baseURL() + "/hub/ " +
		"JUPYTERHUB_PUBLIC_URL=" + baseURL() + "/user/alice/ JUPYTERHUB_SERVER_NAME= JUPYTERHUB_SERVICE_PREFIX=/user/alice/ JUPYTERHUB_USER=alice"; told != want {
		t.Errorf("the server is told\n%s, want\n%s", told, want)
	}

	b.point(menuItem("lm-MenuBar-itemLabel", "File"))
	b.until(10*time.Second, "Boolean("+menuItem("lm-Menu-itemLabel", "Hub Control Panel")+")")
	b.shot("lab-hub-menu")
	panel := b.opens(func() { b.point(menuItem("lm-Menu-itemLabel", "Hub Control Panel")) })
	panel.until(20*time.Second, `location.pathname === "`+contract.PathHome+`"`)

	b.run(10*time.Second, front())
	alice.stop()
	const dialog = `(document.querySelector(".jp-Dialog")?.textContent ?? "").includes("is not running")`
	b.until(90*time.Second, dialog)
	b.shot("lab-stopped")
	again := b.opens(func() { b.point(`document.querySelector(".jp-Dialog .jp-mod-accept")`) })
	again.run(20*time.Second, chromedp.WaitVisible(`#start`), chromedp.Click(`#start`))
	openLab(again)
	b.run(10*time.Second, front())
	b.until(90*time.Second, `fetch("/user/alice/api/kernels").then(r => r.status === 200, () => false)`)
	// While the server was away each question of the first tab could open the dialog anew. Its user closes it.
	b.until(20*time.Second, `(() => { document.querySelector(".jp-Dialog .jp-mod-reject")?.click(); return !document.querySelector(".jp-Dialog"); })()`)

	b.point(menuItem("lm-MenuBar-itemLabel", "File"))
	b.point(menuItem("lm-Menu-itemLabel", "Log Out"))
	b.until(20*time.Second, `location.pathname === "`+contract.PathLogout+`"`)
	if code := js[int](again, 10*time.Second, `fetch("/user/alice/api/kernels").then(r => r.status, () => 0)`); code != 401 {
		t.Errorf("after the logout another tab gets %d, want 401", code)
	}
}
