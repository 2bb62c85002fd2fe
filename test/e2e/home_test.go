package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// podUID is the UID of a user's server's pod.
func podUID(t *testing.T, user string) string {
	t.Helper()
	pod, err := cluster(t).CoreV1().Pods(servers).Get(t.Context(), spawn.PodName(server.ID{User: user}), metav1.GetOptions{})
	if err != nil {
		return ""
	}
	return string(pod.UID)
}

// TestHomeIsLive: the home page follows a server from its start to its end without a reload, says what
// it takes, and restarts it by one click.
func TestHomeIsLive(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	defer alice.stop()
	b := newBrowser(t)
	b.login("alice", contract.PathHome)
	state := func(limit time.Duration, want string) {
		t.Helper()
		b.until(limit, `document.querySelector('[data-server=""] .said').textContent === "`+want+`"`)
	}
	state(10*time.Second, "Not running")
	js[any](b, 5*time.Second, `window.loaded = "once"; 0`)
	alice.spawn()
	state(30*time.Second, "Running")
	b.until(90*time.Second, `document.querySelectorAll('[data-server=""] .use meter').length >= 2`)
	b.until(5*time.Second, `/\d/.test(document.querySelector('[data-server=""] .use').textContent) && document.getElementById('said').textContent.endsWith(': Running')`)
	b.shot("home-live")
	first := podUID(t, "alice")
	alice.stop()
	state(30*time.Second, "Not running")
	alice.spawn()
	state(30*time.Second, "Running")
	if js[string](b, 5*time.Second, `window.loaded`) != "once" {
		t.Error("the page was loaded again")
	}
	second := podUID(t, "alice")
	b.run(30*time.Second, chromedp.Click(`[data-server=""] [data-key=restart]`))
	state(15*time.Second, "Restarting")
	b.shot("home-restarting")
	state(90*time.Second, "Running")
	if third := podUID(t, "alice"); third == second || third == first || third == "" {
		t.Errorf("after the restart the pod is %q, before it was %q", third, second)
	}
	b.run(30*time.Second, chromedp.Click(`[data-server=""] [data-key=log]`), chromedp.WaitVisible(`pre.output`))
	b.until(5*time.Second, `document.querySelector('pre.output').textContent.includes("Jupyter Server")`)
	b.shot("log")
}

// TestAFailedStartShowsTheTraceback of a server whose program ends at once: folded on the progress
// page, and on the log's own.
func TestAFailedStartShowsTheTraceback(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	defer alice.stop()
	moreProfiles(t, alice, "e2e-broken", "  - display_name: E2E broken\n    slug: e2e-broken\n    kubespawner_override: { cmd: [python3, -c, \"print('GET /lab?token=c0ffee0ddba11', flush=True); import nosuch\"] }\n")
	alice.choose("e2e-broken")
	const want = "No module named 'nosuch'"
	wait.Within(t, time.Minute, "the progress page shows the traceback", func() bool {
		return strings.Contains(alice.page("/hub/spawn-pending/alice"), "nosuch&#39;")
	})
	b := newBrowser(t)
	b.login("alice", "/hub/spawn-pending/alice")
	b.run(20*time.Second, chromedp.WaitVisible(`#wrote`))
	if js[bool](b, 5*time.Second, `document.getElementById('wrote').open`) {
		t.Error("the log is not folded")
	}
	b.run(20*time.Second, chromedp.Click(`#wrote summary`))
	b.until(5*time.Second, `document.querySelector('#wrote pre').innerText.includes("`+want+`")`)
	b.shot("pending-traceback")
	b.run(20*time.Second, chromedp.Navigate(baseURL()+"/hub/log/alice"), chromedp.WaitVisible(`pre.output`))
	text := js[string](b, 5*time.Second, `document.querySelector('pre.output').textContent`)
	if !strings.Contains(text, want) || !strings.Contains(text, "Traceback") || !strings.Contains(text, "token=•••") || strings.Contains(text, "c0ffee") {
		t.Errorf("the log's page shows\n%s", text)
	}
}
