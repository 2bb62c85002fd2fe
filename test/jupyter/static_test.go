package jupyter

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

// TestEnvoyKnowsTheTypes: JupyterLab's files have the types that Envoy compresses
// (pkg/gateway/listener), and browsers may keep them.
func TestEnvoyKnowsTheTypes(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "extension.js.map"), []byte(`{"version": 3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	id := server.ID{User: "alice"}
	origin := start(t, id, "HOME="+home)
	_, page := ask(t, http.MethodGet, origin+id.Prefix()+"lab", gateway())
	scripts := regexp.MustCompile(`src="(/user/alice/static/lab/[^"?]*\.js)`).FindAllStringSubmatch(page, -1)
	if len(scripts) == 0 {
		t.Fatalf("the page names no script:\n%s", page)
	}
	for _, script := range scripts {
		resp, body := exchange(t, http.DefaultClient, http.MethodGet, origin+script[1], gateway())
		h := resp.Header
		if resp.StatusCode != 200 || len(body) < 1024 || h.Get("Content-Type") != "application/javascript" && h.Get("Content-Type") != "text/javascript" || h.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d, %d bytes, %v", script[1], resp.StatusCode, len(body), h)
		}
		if !strings.Contains(h.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: a browser asks for it at each visit: %v", script[1], h)
		}
	}
	resp, _ := exchange(t, http.DefaultClient, http.MethodGet, origin+id.Prefix()+"files/extension.js.map", gateway("Referer", origin+id.Prefix()))
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || !strings.HasPrefix(got, "application/source-map") {
		t.Errorf("a source map: %d, %s", resp.StatusCode, got)
	}
}

// TestAReturningBrowserDownloadsNoScript: what a browser has of JupyterLab it keeps over a restart
// of the server. Envoy compresses each file anew for each browser, so this bounds that too.
func TestAReturningBrowserDownloadsNoScript(t *testing.T) {
	id := server.ID{User: "alice"}
	l := newLab(t, id)
	files := func(all []string) []string {
		return slices.DeleteFunc(all, func(path string) bool {
			// A kernel's logo is no file of JupyterLab's.
			return strings.Contains(path, "/kernelspecs/") || !slices.Contains([]string{".js", ".css", ".woff", ".woff2", ".svg"}, filepath.Ext(path))
		})
	}
	ctx := l.page(t, id.Prefix()+"lab")
	if first := files(l.downloads()); len(first) < 20 { // negative control
		t.Errorf("the first visit downloads %d files only: %v", len(first), first)
	}
	l.lead(t, start(t, id))
	l.reload(t, ctx, id.Prefix()+"lab")
	all := l.downloads()
	if again := files(slices.Clone(all)); len(again) > 0 || len(all) == 0 {
		t.Errorf("after a restart %d files are downloaded again: %v", len(again), again)
	}
}
