package hub

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/wait"
)

// Where everybody has a host, all that leads into a server names its owner's.
func TestLinksToPeoplesHosts(t *testing.T) {
	t.Parallel()
	site, err := origin.Parse("https://hub.test", nil)
	if err == nil {
		site, err = site.WithUserDomain("people.test")
	}
	if err != nil {
		t.Fatal(err)
	}
	e := newEnvAt(t, site)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	const server = "https://alice.people.test/user/alice/"
	wait.Until(t, "running", func() bool {
		_, _, body := e.get("/hub/api/users/alice")
		return strings.Contains(body, `"ready":true`)
	})
	for path, want := range map[string]string{
		"/hub/":                             server,
		"/hub/user-redirect/lab/tree/a?x=1": server + "lab/tree/a?x=1",
		"/hub/user/alice/lab?x=1":           server + "lab?redirects=1&x=1",
	} {
		if code, to, _ := e.get(path); code != 302 || to != want {
			t.Errorf("%s leads to %d %s, want %s", path, code, to, want)
		}
	}
	for path, want := range map[string]string{
		"/hub/api/users/alice": `"url":"` + server + `"`,
		"/hub/home":            `href="` + server + `"`,
		// Not a redirect, since a form may have led here; next stays on the person's host.
		"/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab": `href="` + server + `lab"`,
		"/hub/spawn-pending/alice?next=%2F%2Fevil.test":       `href="` + server + `"`,
	} {
		if code, _, body := e.get(path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d without %s:\n%s", path, code, want, body)
		}
	}
	if _, _, body := e.get("/hub/home"); strings.Contains(body, `href="https://alice.people.test/hub`) {
		t.Error("a page of ours is linked on alice's host")
	}
}

// S8: no page of ours can be put into a frame, not even one that says what went wrong.
func TestS8_NoPageCanBeFramed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for path, code := range map[string]int{"/hub/home": 200, "/hub/spawn": 200, "/hub/user/alice/": 424, "/hub/user/bob/": 403, "/hub/nothing": 404} {
		resp := e.send(request{method: "GET", path: path})
		_ = resp.Body.Close()
		if csp := resp.Header.Get("Content-Security-Policy"); resp.StatusCode != code || !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s: %d with the policy %q", path, resp.StatusCode, csp)
		}
	}
}
