package e2e

import (
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// moreProfiles adds entries to the list of profiles until the test ends, and waits until p may
// choose slug.
func moreProfiles(t *testing.T, p *person, slug, entries string) {
	t.Helper()
	list, write := profileList(t)
	write(list + entries)
	wait.Within(t, 5*time.Second, "the form has the new profile", func() bool {
		return strings.Contains(p.page(contract.PathSpawn), `value="`+slug+`"`)
	})
}

// choose starts a server with a profile, and does not wait for it.
func (p *person) choose(slug string) {
	p.t.Helper()
	form := url.Values{contract.XSRFName: {field(p.t, p.page(contract.PathSpawn), contract.XSRFName)}, "profile": {slug}}
	_ = p.do("POST", contract.PathSpawn, form).Body.Close()
}

// model is the default server as the REST API describes it.
func (p *person) model() (s struct {
	Ready   bool `json:"ready"`
	Notices []struct {
		ID   string    `json:"id"`
		Text string    `json:"text"`
		Time time.Time `json:"time"`
	} `json:"notices"`
}) {
	p.t.Helper()
	_, body := p.api("GET", contract.PathAPI+"/users/"+p.name)
	user := struct {
		Servers map[string]json.RawMessage `json:"servers"`
	}{}
	if err := json.Unmarshal([]byte(body), &user); err != nil {
		p.t.Fatalf("%v: %s", err, body)
	}
	if one, ok := user.Servers[""]; ok {
		if err := json.Unmarshal(one, &s); err != nil {
			p.t.Fatalf("%v: %s", err, one)
		}
	}
	return s
}

// eat fills the memory that a server may use, in pieces smaller than Jupyter itself: on nodes
// with cgroup v1 the kernel ends the largest process, and a kernel of Jupyter is started again
// by Jupyter.
const eat = `
import os, time
for _ in range(40):
    if os.fork() == 0:
        held = b"x" * (20 << 20)
        time.sleep(60)
time.sleep(60)
`

// TestOutOfMemoryIsSeen: a server over its limit is ended and started again. Its user reads so on the home page,
// in JupyterLab, over REST, and in the progress of the new start.
func TestOutOfMemoryIsSeen(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	moreProfiles(t, alice, "e2e-small", "  - display_name: E2E small\n    slug: e2e-small\n    kubespawner_override: { mem_guarantee: 100M, mem_limit: 300M }\n")
	alice.choose("e2e-small")
	alice.follow()
	defer alice.stop()
	b := newBrowser(t)
	b.login("alice", "/user/alice/lab/workspaces/memory?reset") // other tests find theirs as it was
	openLab(b)
	b.run(20*time.Second, chromedp.Click(chromedp.CSS(`.jp-LauncherCard[data-category="Console"]`)))
	b.until(60*time.Second, `document.body.textContent.includes("(ipykernel) | Idle")`)
	if got := alice.model().Notices; len(got) != 0 || strings.Contains(alice.page(contract.PathHome), "out of memory") {
		t.Fatalf("negative control: before, it says %+v", got)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, kubectl.Path(), "--namespace", servers, "exec",
		spawn.PodName(server.ID{User: "alice"}), "--", "python3", "-c", eat).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Fatalf("nothing ended the server: %v %s", err, out)
	}
	const limit = "300 MiB"
	wait.Within(t, told, "the REST API says so", func() bool {
		got := alice.model().Notices
		return len(got) == 1 && got[0].ID == "notice.oom" && strings.Contains(got[0].Text, limit) && time.Since(got[0].Time) < time.Minute
	})
	if said := describe(alice.follow()); !strings.Contains(said, "ran out of memory (it may use "+limit+") and is being started again") {
		t.Errorf("the progress does not say so:\n%s", said)
	}
	home := b.newTab()
	home.run(20*time.Second, chromedp.Navigate(baseURL()+contract.PathHome), chromedp.WaitVisible(`.servers .note`))
	home.until(10*time.Second, `document.querySelector(".servers .note").textContent.includes("ran out of memory: it may use 300 MiB")`)
	home.shot("home-out-of-memory")
	b.run(10*time.Second, front())
	b.until(40*time.Second, `[...document.querySelectorAll(".Toastify__toast")].some(e => e.textContent.includes("ran out of memory: it may use 300 MiB"))`)
	b.shot("lab-out-of-memory")
}

// TestFreeSpaceIsSeen: the home page of a user whose server runs says how much of the home is free, as
// the server itself sees it.
func TestFreeSpaceIsSeen(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	alice.spawn()
	defer alice.stop()
	out := inside(t, servers, "exec", spawn.PodName(server.ID{User: "alice"}), "--", "df", "--block-size=1", "--output=size", "/home/jovyan")
	total, err := strconv.ParseInt(strings.Fields(out)[1], 10, 64)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "of " + spawn.Space{Total: total}.Words()["Total"] + " free"
	wait.Within(t, 90*time.Second, "the home page says \""+want+"\"", func() bool { return strings.Contains(alice.page(contract.PathHome), want) })
	b := newBrowser(t)
	b.login("alice", contract.PathHome)
	b.shows(10*time.Second, ".use meter")
	b.shot("home-free-space")
}

// TestFullDiskIsSeen: the kubelet ends a server that writes more to its node's disk than its profile allows. Its page says
// so and starts it again.
func TestFullDiskIsSeen(t *testing.T) {
	alice := login(t, "alice")
	alice.stop()
	defer alice.stop()
	moreProfiles(t, alice, "e2e-disk", "  - display_name: E2E disk\n    slug: e2e-disk\n    kubespawner_override: { extra_resource_limits: { ephemeral-storage: 20Mi } }\n")
	alice.choose("e2e-disk")
	alice.follow()
	inside(t, servers, "exec", spawn.PodName(server.ID{User: "alice"}), "--", "dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=60")
	begin := time.Now()
	wait.Within(t, 2*time.Minute, "the page says that the disk was full", func() bool {
		page := alice.page(contract.PathSpawnPending + "/alice")
		return strings.Contains(page, "Your server has ended") && strings.Contains(page, "wrote more to the machine")
	})
	t.Logf("said after %.0f s", time.Since(begin).Seconds())
	form := url.Values{contract.XSRFName: {field(t, alice.page(contract.PathHome), contract.XSRFName)}}
	_ = alice.do("POST", contract.PathSpawn, form).Body.Close()
	alice.follow()
}
