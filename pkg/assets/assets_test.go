package assets_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"github.com/perijove/perijove/pkg/assets"
	"github.com/perijove/perijove/pkg/contract"
)

// script compresses well.
var script = strings.Repeat("export const answer = 42;\n", 1000)

// packed returns a folder as an image has it, and its digest.
func packed(t *testing.T, first ...string) (folder, digest string) {
	t.Helper()
	source := t.TempDir()
	for name, text := range map[string]string{
		"main.0123456789abcdef.js": script, "sub/small.css": "a{}", "font.woff": "not a font", "index.html": "<html>", "package.json": "{}",
	} {
		write(t, filepath.Join(source, name), text)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(source, "link.js")); err != nil {
		t.Fatal(err)
	}
	folder = filepath.Join(t.TempDir(), "out")
	digest, err := assets.Pack(source, folder, first)
	if err != nil {
		t.Fatal(err)
	}
	return folder, digest
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func loaded(t *testing.T, folder string) *assets.Tree {
	t.Helper()
	tree, err := assets.Load(folder)
	if err != nil || tree == nil {
		t.Fatalf("load: %v, %v", tree, err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	return tree
}

func TestPackAndLoad(t *testing.T) {
	folder, digest := packed(t, "main.*.js", "sub/*.css")
	tree := loaded(t, folder)
	if tree.Digest() != digest {
		t.Errorf("digest %s, packed as %s", tree.Digest(), digest)
	}
	// Pages, data and links are not among them.
	if got := tree.Files(); !slices.Equal(got, []string{"font.woff", "main.0123456789abcdef.js", "sub/small.css"}) {
		t.Errorf("files: %v", got)
	}
	if got := tree.First(); !slices.Equal(got, []string{"main.0123456789abcdef.js?v=0123456789abcdef", "sub/small.css"}) {
		t.Errorf("first: %v", got)
	}
	again, err := assets.Pack(filepath.Join(folder, digest), filepath.Join(t.TempDir(), "out"), nil)
	if err != nil || again != digest {
		t.Errorf("the same files give another digest: %s, %v", again, err)
	}
}

func TestPatternsMatchOneFile(t *testing.T) {
	source := t.TempDir()
	write(t, filepath.Join(source, "a.js"), "a")
	write(t, filepath.Join(source, "b.js"), "b")
	_, err := assets.Pack(source, filepath.Join(t.TempDir(), "out"), []string{"*.js", "main.js", "a.js"})
	if err == nil || strings.Count(err.Error(), "pattern") != 2 {
		t.Errorf("two bad patterns: %v", err)
	}
	if _, err := assets.Pack(source, filepath.Join(t.TempDir(), "out"), []string{"[a"}); err == nil {
		t.Error("a pattern that is none is taken")
	}
	if _, err := assets.Pack(t.TempDir(), filepath.Join(t.TempDir(), "out"), nil); err == nil {
		t.Error("a folder without files is packed")
	}
}

// An image that lies about its digest could put its scripts into the pages of another image's servers,
// and one with links could have files of the service itself served.
func TestK9_OnlyWhatTheDigestNames(t *testing.T) {
	for name, change := range map[string]func(folder, digest string) error{
		"another file": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest, "main.0123456789abcdef.js"), []byte("alert(1)"), 0o600)
		},
		"another compressed file": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest, "main.0123456789abcdef.js.br"), []byte("x"), 0o600)
		},
		"one more file": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest, "more.js"), nil, 0o600)
		},
		"one file less": func(folder, digest string) error { return os.Remove(filepath.Join(folder, digest, "font.woff")) },
		"another digest": func(folder, digest string) error {
			return os.Rename(filepath.Join(folder, digest), filepath.Join(folder, strings.Repeat("0", 64)))
		},
		"a link to a file": func(folder, digest string) error {
			return os.Symlink("/etc/passwd", filepath.Join(folder, digest, "passwd.js"))
		},
		"a link to a folder": func(folder, digest string) error { return os.Symlink("/etc", filepath.Join(folder, digest, "etc")) },
		"a folder that is a link": func(folder, digest string) error {
			elsewhere := filepath.Join(t.TempDir(), digest)
			return errors.Join(os.Rename(filepath.Join(folder, digest), elsewhere), os.Symlink(elsewhere, filepath.Join(folder, digest)))
		},
		"two digests": func(folder, _ string) error { return os.Mkdir(filepath.Join(folder, strings.Repeat("a", 64)), 0o755) },
		"a list of other files": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest+".first"), []byte("absent.js"), 0o600)
		},
		"a list with other addresses": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest+".first"), []byte(`font.woff?"><script>`), 0o600)
		},
		"an endless list": func(folder, digest string) error {
			return os.WriteFile(filepath.Join(folder, digest+".first"), []byte(strings.Repeat("font.woff\n", 10_000)), 0o600)
		},
		"a list that is a link": func(folder, digest string) error {
			return os.Symlink("/etc/hostname", filepath.Join(folder, digest+".first"))
		},
	} {
		folder, digest := packed(t)
		if err := change(folder, digest); err != nil {
			t.Fatal(err)
		}
		if tree, err := assets.Load(folder); tree != nil {
			t.Errorf("%s: loaded (%v)", name, err)
		}
	}
	empty, err := assets.Load(t.TempDir())
	if empty != nil || err != nil {
		t.Errorf("an image without files: %v, %v", empty, err)
	}
	if _, err := assets.Load(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// ask sends a request with headers as pairs to h.
func ask(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://h/", nil)
	r.URL.Path = path
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestServe(t *testing.T) {
	folder, digest := packed(t, "main.*.js")
	h := assets.Handler(map[string]*assets.Tree{"notebook:1": loaded(t, folder)})
	path := contract.PathAssets + digest + "/main.0123456789abcdef.js"
	tags := map[string]bool{}
	for accept, want := range map[string]string{"": "", "gzip": "gzip", "br": "br", "gzip, br": "br", "br;q=0, gzip": "gzip", "zstd": ""} {
		w := ask(h, "GET", path, "Accept-Encoding", accept)
		var body io.Reader = w.Body
		switch want {
		case "br":
			body = brotli.NewReader(body)
		case "gzip":
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		text, err := io.ReadAll(body)
		if err != nil || w.Code != 200 || string(text) != script || w.Header().Get("Content-Encoding") != want {
			t.Errorf("%q: %d, %d bytes, %v, %v", accept, w.Code, len(text), err, w.Header())
		}
		for name, value := range map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding",
			"X-Content-Type-Options": "nosniff",
		} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%q: %s: %q", accept, name, got)
			}
		}
		tag := w.Header().Get("ETag")
		tags[tag] = true
		if again := ask(h, "GET", path, "Accept-Encoding", accept, "If-None-Match", tag); again.Code != 304 || again.Body.Len() > 0 {
			t.Errorf("%q again: %d", accept, again.Code)
		}
	}
	if len(tags) != 3 {
		t.Errorf("three sequences of bytes have %d tags", len(tags))
	}
	if w := ask(h, "GET", path, "Range", "bytes=7-11"); w.Code != 206 || w.Body.String() != script[7:12] || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("a part: %d %q %v", w.Code, w.Body, w.Header())
	}
	whole := ask(h, "GET", path, "Accept-Encoding", "br")
	rest := ask(h, "GET", path, "Accept-Encoding", "br", "Range", "bytes=7-", "If-Range", whole.Header().Get("ETag"))
	if rest.Code != 206 || rest.Body.String() != whole.Body.String()[7:] || rest.Header().Get("Content-Encoding") != "br" {
		t.Errorf("the rest of a compressed file: %d %v", rest.Code, rest.Header())
	}
	if w := ask(h, "GET", path, "Range", "bytes=7-", "If-Range", whole.Header().Get("ETag")); w.Code != 200 || w.Body.String() != script {
		t.Errorf("the rest of another form: %d", w.Code)
	}
	if w := ask(h, "GET", path, "Range", "bytes=9999999-"); w.Code != 416 {
		t.Errorf("a part that is not there: %d", w.Code)
	}
	if w := ask(h, "HEAD", path); w.Code != 200 || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "26000" {
		t.Errorf("HEAD: %d, %v", w.Code, w.Header())
	}
	if w := ask(h, "GET", contract.PathAssets+digest+"/sub/small.css", "Accept-Encoding", "br"); w.Body.String() != "a{}" {
		t.Errorf("a small file: %d %q", w.Code, w.Body)
	}
	var index contract.AssetsIndex
	if err := json.Unmarshal(ask(h, "GET", contract.PathAssetsIndex).Body.Bytes(), &index); err != nil || index["notebook:1"].Digest != digest || len(index["notebook:1"].First) != 1 {
		t.Errorf("index: %v, %v", index, err)
	}
}

// P1: only files of the image, by their own name and for reading.
func TestP1_NothingElseIsServed(t *testing.T) {
	folder, digest := packed(t)
	h := assets.Handler(map[string]*assets.Tree{"notebook:1": loaded(t, folder)})
	at := contract.PathAssets + digest
	for _, path := range []string{
		at, at + "/", at + "/sub", at + "/sub/", at + "/absent.js", at + "/index.html", at + "/main.0123456789abcdef.js.br", at + "/main.0123456789abcdef.js/",
		at + "/../" + digest + "/font.woff", at + "/../../../etc/passwd", at + "/./font.woff", at + "//font.woff", at + `/..\..\etc/passwd`,
		at + "/font.woff\x00", at + "/" + strings.Repeat("a", 60_000), at + "/" + strings.Repeat("a/", 30_000),
		contract.PathAssets, "/assets/", "/", contract.PathAssets + strings.Repeat("0", 64) + "/font.woff",
		contract.PathAssets + strings.ToUpper(digest) + "/font.woff", contract.PathAssets + digest[:63] + "/font.woff",
	} {
		w := ask(h, "GET", path)
		// The mux redirects to the path that it takes for the same.
		if w.Code != 404 && w.Code/100 != 3 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") || strings.Contains(w.Body.String(), "not a font") {
			t.Errorf("%.100q: %d %v", path, w.Code, w.Header())
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		if w := ask(h, method, at+"/font.woff"); w.Code != 405 {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
	if w := ask(h, "GET", at+"/font.woff"); w.Code != 200 || w.Body.String() != "not a font" { // negative control
		t.Errorf("a file: %d %q", w.Code, w.Body)
	}
}
