package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// TestAdministrator: carol finds alice's server in the list, stops it, reads who did what, tells
// everybody something, ends bob's sessions, and starts nothing for a name that nobody has.
func TestAdministrator(t *testing.T) {
	alice, bob := login(t, "alice"), login(t, "bob")
	alice.stop()
	alice.spawn()
	defer alice.stop()
	carol := newBrowser(t)
	carol.login("carol", contract.PathHome)
	carol.run(20*time.Second, chromedp.Click(chromedp.CSS(`nav a[href="`+contract.PathAdmin+`"]`)), chromedp.WaitVisible(`#q`))
	carol.run(20*time.Second, chromedp.SendKeys(`#q`, "ALIC"), chromedp.Click(chromedp.CSS(`.search button`)))
	carol.until(20*time.Second, `location.search.includes("q=ALIC") && document.querySelectorAll(".people tbody tr").length > 0`)
	const stop = `form[action="/hub/stop/alice"] button`
	carol.until(20*time.Second, `!!document.querySelector('`+stop+`') && !document.body.innerText.includes("users/bob")`)
	carol.shot("admin")
	carol.run(30*time.Second, chromedp.Click(chromedp.CSS(stop)))
	carol.until(40*time.Second, `location.search.includes("q=ALIC") && !!document.querySelector('form[action="/hub/spawn/alice"] button')`)
	wait.Within(t, 20*time.Second, "alice's server is gone", func() bool {
		code, _ := alice.api(http.MethodGet, "/hub/api/users/alice/server/progress")
		return code == http.StatusBadRequest
	})

	carol.run(20*time.Second, chromedp.Click(chromedp.CSS(`a[href="/hub/admin/users/alice"]`)), chromedp.WaitVisible(`#trail`))
	if text := js[string](carol, 10*time.Second, `document.body.innerText`); !strings.Contains(text, "Stop of the server") || !strings.Contains(text, "by carol") || !strings.Contains(text, "by alice") {
		t.Errorf("alice's page says\n%s", text)
	}
	carol.shot("admin-person")
	tellEverybody(t, carol, alice)

	carol.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/sessions/bob"), chromedp.WaitVisible(`#end-all`))
	carol.shot("admin-account")
	carol.run(20*time.Second, chromedp.Click(`#end-all`))
	carol.until(20*time.Second, `document.body.innerText.includes("All sessions were ended")`)
	wait.Within(t, 10*time.Second, "bob is logged out", func() bool {
		resp := bob.do(http.MethodGet, contract.PathHome, nil)
		_ = resp.Body.Close()
		return resp.StatusCode != http.StatusOK || strings.HasPrefix(resp.Request.URL.Path, contract.PathLogin)
	})

	carol.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/admin/cluster"), chromedp.WaitVisible(`meter`))
	carol.shot("admin-cluster")
	carol.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/admin/quotas"), chromedp.WaitVisible(`h1`))
	carol.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/spawn/alcie"), chromedp.WaitVisible(`h1`))
	if text := js[string](carol, 10*time.Second, `document.body.innerText`); !strings.Contains(text, "Nobody has this name") {
		t.Errorf("a start for a name that nobody has: %s", text)
	}
	resp := alice.do(http.MethodGet, contract.PathAdmin, nil)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("alice at the administrators' page: %d", resp.StatusCode)
	}
}

// tellEverybody: what carol writes alice reads on her home page, until carol takes it away.
func tellEverybody(t *testing.T, carol *browser, alice *person) {
	t.Helper()
	const text = "e2e: the cluster is serviced on Sunday"
	carol.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/admin/messages"), chromedp.WaitVisible(`#en`),
		chromedp.SendKeys(`#en`, text), chromedp.Click(`#post`))
	carol.until(20*time.Second, `document.body.innerText.includes("`+text+`")`)
	carol.shot("admin-messages")
	wait.Within(t, 10*time.Second, "alice reads it, whichever replica answers", func() bool {
		return strings.Contains(alice.page(contract.PathHome), text)
	})
	carol.run(20*time.Second, chromedp.Click(chromedp.CSS(`form[action="/hub/admin/messages/remove"] button`)))
	carol.until(20*time.Second, `document.readyState === "complete" && !document.body.innerText.includes("`+text+`")`)
	wait.Within(t, 10*time.Second, "alice reads it no more", func() bool {
		return !strings.Contains(alice.page(contract.PathHome), text)
	})
}
