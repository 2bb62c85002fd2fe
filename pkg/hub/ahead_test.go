package hub

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/web/origin"
)

// TestProgressPageFetchesAhead what the server was told of, unless the browser saves data. A page of a
// failed start fetches nothing.
func TestProgressPageFetchesAhead(t *testing.T) {
	const digest, file = "0a0a", contract.PathAssets + "0a0a/main.js?v=1"
	setUp := func(site origin.Site) *env {
		e := newEnvAt(t, site)
		e.cluster.Site.Assets = func(image string) string {
			return map[string]string{"example.org/lab:1": digest}[image]
		}
		e.hub.Assets = func(of string) []string { return map[string][]string{digest: {file}}[of] }
		return e
	}
	const link = `<link rel="prefetch" href="` + file + `">`
	e := setUp(origin.Site{})
	start := func(e *env, profile string) {
		t.Helper()
		if code, _, body := e.post("/hub/spawn", url.Values{"profile": {profile}}); code != http.StatusSeeOther {
			t.Fatalf("start: %d %s", code, body)
		}
	}
	start(e, "lab")
	if _, _, page := e.get("/hub/spawn-pending/alice"); strings.Count(page, link) != 1 {
		t.Errorf("the page fetches nothing ahead:\n%s", page)
	}
	for value, want := range map[string]bool{"on": false, "On": false, "off": true} {
		if _, _, page := e.get("/hub/spawn-pending/alice", "Save-Data", value); strings.Contains(page, link) != want {
			t.Errorf("Save-Data %s: fetched ahead: %v", value, !want)
		}
	}
	e.change("", memory.Fail)
	if _, _, page := e.get("/hub/spawn-pending/alice"); strings.Contains(page, "prefetch") {
		t.Error("the page of a failed start fetches something")
	}
	hosts := setUp(origin.Site{Scheme: "https", Hosts: []string{"hub.test"}, UserDomain: "users.test"})
	start(hosts, "lab")
	if _, _, page := hosts.get("/hub/spawn-pending/alice"); strings.Contains(page, "prefetch") {
		t.Error("with a host for each user our page loads from another host")
	}
}
