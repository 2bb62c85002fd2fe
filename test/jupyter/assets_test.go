package jupyter

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/assets"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

const firstFiles = "../../deploy/images/notebook/first.txt"

// sharedFiles is where an image's files are in a test, and their digest.
type sharedFiles struct{ folder, digest string }

// pack makes what an image with this JupyterLab has for the gateway.
func pack(t *testing.T) sharedFiles {
	t.Helper()
	list, err := os.ReadFile(firstFiles)
	if err != nil {
		t.Fatal(err)
	}
	static := filepath.Join(venv(t), "share/jupyter/lab/static")
	folder := filepath.Join(t.TempDir(), "assets")
	digest, err := assets.Pack(static, folder, strings.Fields(string(list)))
	if err != nil {
		t.Fatal(err)
	}
	return sharedFiles{folder, digest}
}

// env tells a server of the files, which an image would have at assets.Folder.
func (i sharedFiles) env(t *testing.T, digest string) []string {
	t.Helper()
	config := t.TempDir()
	if err := os.CopyFS(config, os.DirFS("../../deploy/chart/files")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(config, "jupyter_server_config.py")
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), assets.Folder) != 1 {
		t.Fatalf("the configuration names the folder of assets %d times (%v)", strings.Count(string(text), assets.Folder), err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), assets.Folder, i.folder, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"JUPYTER_CONFIG_PATH=" + config, contract.EnvAssets + "=" + digest}
}

func (i sharedFiles) handler(t *testing.T) http.Handler {
	t.Helper()
	tree, err := assets.Load(i.folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return assets.Handler(map[string]*assets.Tree{"notebook:test": tree})
}

// TestSharedFiles are the tests of an image's files, which take a while to be made.
func TestSharedFiles(t *testing.T) {
	files := pack(t)
	t.Run("only its own", func(t *testing.T) { testOnlyItsOwnFiles(t, files) })
	t.Run("once", func(t *testing.T) { testABrowserDownloadsThemOnce(t, files) })
}

// testOnlyItsOwnFiles: a page names the gateway's files when they are those of the server's own
// JupyterLab, and the server has them too. Images never mix.
func testOnlyItsOwnFiles(t *testing.T, files sharedFiles) {
	t.Helper()
	id := server.ID{User: "alice"}
	script := regexp.MustCompile(`src="([^"]*/)(main\.[0-9a-f]+\.js)`)
	scripts := func(origin string) (folder, name string) {
		_, page := ask(t, http.MethodGet, origin+id.Prefix()+"lab", gateway())
		found := script.FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("the page names no script:\n%s", page)
		}
		return found[1], found[2]
	}
	const own = "/user/alice/static/lab/"
	origin := start(t, id, files.env(t, files.digest)...)
	folder, name := scripts(origin)
	if folder != contract.PathAssets+files.digest+"/" {
		t.Errorf("its scripts come from %s", folder)
	}
	want, err := os.ReadFile(filepath.Join(files.folder, files.digest, name))
	if err != nil {
		t.Fatal(err)
	}
	if code, body := ask(t, http.MethodGet, origin+id.Prefix()+contract.SegmentOwnAssets+name+"?v=1", gateway()); code != 200 || body != string(want) {
		t.Errorf("the server has no file of its own: %d, %d bytes", code, len(body))
	}
	if code, _ := ask(t, http.MethodGet, origin+id.Prefix()+contract.SegmentOwnAssets+"..%2f..%2f..%2f..%2fetc%2fpasswd", gateway()); code < 400 {
		t.Errorf("a file from elsewhere: %d", code)
	}
	for what, env := range map[string][]string{
		"no word of files":         files.env(t, ""),
		"files of another image":   files.env(t, strings.Repeat("0", 64)),
		"an address for a digest":  files.env(t, "../../../../evil.test"),
		"files of a newer version": sharedFiles{mutilated(t, files, name), files.digest}.env(t, files.digest),
	} {
		if folder, _ := scripts(start(t, id, env...)); folder != own {
			t.Errorf("%s: its scripts come from %s", what, folder)
		}
	}
}

// mutilated returns the files without the first script, as of another JupyterLab.
func mutilated(t *testing.T, of sharedFiles, name string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(of.folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, of.digest, name)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// testABrowserDownloadsThemOnce: also after a restart, and for another server of the image. What
// it downloads at first is what the image's list says.
func testABrowserDownloadsThemOnce(t *testing.T, files sharedFiles) {
	t.Helper()
	alice, bob := server.ID{User: "alice"}, server.ID{User: "bob"}
	l := newLab(t, alice, files.env(t, files.digest)...)
	l.assets = files.handler(t)
	ctx := l.page(t, alice.Prefix()+"lab")
	names := func(all []string) []string {
		var out []string
		for _, one := range all {
			out = append(out, strings.TrimPrefix(one, contract.PathAssets+files.digest+"/"))
		}
		return out
	}
	first := names(l.shared())
	tree, err := assets.Load(files.folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	if !slices.Equal(slices.Sorted(slices.Values(first)), slices.Sorted(slices.Values(tree.First()))) {
		t.Errorf("a first page loads these, which %s should name:\n%s", firstFiles, strings.Join(patterns(first), "\n"))
	}
	_ = l.downloads()
	for _, id := range []server.ID{alice, bob} {
		l.lead(t, start(t, id, files.env(t, files.digest)...))
		l.reload(t, ctx, id.Prefix()+"lab")
		if again := l.shared(); len(again) > 0 {
			t.Errorf("%s: %d shared files are asked for again: %v", id.User, len(again), again)
		}
		for _, one := range l.downloads() {
			if strings.Contains(one, "/static/lab/") || strings.Contains(one, contract.SegmentOwnAssets) {
				t.Errorf("%s: the server sends %s", id.User, one)
			}
		}
	}
}

// patterns are the lines of the list for files: names without what changes with each build.
func patterns(files []string) []string {
	var out []string
	for _, file := range files {
		file, _, _ = strings.Cut(file, "?")
		out = append(out, regexp.MustCompile(`\.[0-9a-f]{16,}\.js$`).ReplaceAllString(path.Base(file), ".*.js"))
	}
	return out
}
