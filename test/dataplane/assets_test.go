package dataplane

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	assetsapp "github.com/perijove/perijove/cmd/assets/app"
	xdsapp "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/assets"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// shared is an env with an assets service, which serves one image with one script, and with alice's
// server, which keeps the headers of what it is asked.
type shared struct {
	*env
	alice  *person
	script string // its path
	stop   func() // ends the service

	mu    sync.Mutex
	asked []string // paths that alice's server was asked for
}

const assetsAddr = "127.0.0.1:8444"

func newShared(t *testing.T) *shared {
	t.Helper()
	source, folder := t.TempDir(), filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(filepath.Join(source, "main.js"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	digest, err := assets.Pack(source, folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &shared{script: contract.PathAssets + digest + "/main.js"}
	s.env = newEnvWith(t, func(e *env) {
		e.adjust = func(cfg *xdsapp.Config) { cfg.Upstreams.Assets = assetsAddr }
	})
	s.start(folder)
	l, err := net.Listen("tcp", "10.99.0.1:8888")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.URL.RequestURI())
		_, _ = fmt.Fprint(w, "her server's")
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	s.addPod("jupyter-alice", server.ID{User: "alice"}, l.Addr().String())
	s.routed("/user/alice/api", true)
	s.alice = s.login("alice")
	return s
}

func (s *shared) start(folder string) {
	s.t.Helper()
	cfg := assetsapp.Config{
		Listen: assetsAddr, PrivateListen: "127.0.0.1:9105", TLS: s.ca.Issue(contract.NameAssets, time.Hour),
		Images: []assetsapp.Image{{Name: "notebook:test", Folder: folder}, {Name: "other:test", Folder: s.t.TempDir()}},
	}
	if err := cfg.Validate(); err != nil {
		s.t.Fatal(err)
	}
	s.stop = s.run("assets", func(ctx context.Context, log *slog.Logger) error { return assetsapp.Run(ctx, cfg, log) })
	wait.Until(s.t, "the assets service is ready", func() bool { return ready(cfg.PrivateListen) })
	wait.Until(s.t, "Envoy leads to the assets service", func() bool { return s.newPerson().fetch("GET", s.script).code == 200 })
}

// TestAssetsAreForAll: without a login, with what browsers keep them by.
func TestAssetsAreForAll(t *testing.T) {
	s := newShared(t)
	anybody := s.newPerson()
	for _, accept := range []string{"br", "gzip", ""} {
		r := anybody.fetch("GET", s.script, "Accept-Encoding: "+accept)
		if r.code != 200 || r.get("Content-Encoding") != accept || decoded(t, r) != script {
			t.Errorf("%q: %d, %v", accept, r.code, r.header)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "public, max-age=31536000, immutable",
			"X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding", "Set-Cookie": "",
		} {
			if got := r.get(name); got != want {
				t.Errorf("%q: %s: %q, want %q", accept, name, got, want)
			}
		}
		if again := anybody.fetch("GET", s.script, "Accept-Encoding: "+accept, "If-None-Match: "+r.get("ETag")); again.code != 304 || again.body != "" {
			t.Errorf("%q again: %d", accept, again.code)
		}
	}
	if r := anybody.fetch("GET", s.script, "Range: bytes=0-9", "Accept-Encoding: identity"); r.code != 206 || r.body != script[:10] {
		t.Errorf("a part: %d %q", r.code, r.body)
	}
	if r := anybody.fetch("HEAD", s.script); r.code != 200 || r.get("Content-Length") != fmt.Sprint(len(script)) {
		t.Errorf("HEAD: %d %v", r.code, r.header)
	}
	if r := anybody.fetch("POST", s.script); r.code != 405 {
		t.Errorf("POST: %d", r.code)
	}
}

// P1, X4: nothing but the files, and not the service's other answers.
func TestP1_OnlyAssetsAreReached(t *testing.T) {
	s := newShared(t)
	digest := strings.Split(s.script, "/")[3]
	for _, path := range []string{
		contract.PathAssets, "/assets/", "/assets", "/assets/images", contract.PathAssets + "images", contract.PathAssetsIndex, contract.PathAssets + "..%2fimages",
		contract.PathAssets + "../../images", contract.PathAssets + digest + "/%2e%2e/%2e%2e/%2e%2e/images", contract.PathAssets + digest + "/../../../etc/passwd",
		contract.PathAssets + digest + "//etc/passwd", contract.PathAssets + digest + "/main.js%00", contract.PathAssets + digest + "/main.js.br", contract.PathAssets + digest + "/",
		contract.PathAssets + strings.Repeat("0", 64) + "/main.js", contract.PathAssets + digest + "/" + strings.Repeat("a", 50_000), "/metrics", "/assets/metrics",
	} {
		r := s.newPerson().fetch("GET", path)
		if r.code < 400 || r.code >= 500 || strings.Contains(r.body, digest) || strings.Contains(r.body, "root:") || strings.Contains(r.get("Cache-Control"), "immutable") {
			t.Errorf("%.80s: %d %v %.100s", path, r.code, r.header, r.body)
		}
	}
}

// TestServersHaveWhatTheServiceLacks: a page gets each file that the service does not have, or does not
// answer for, from its own server. It is the page of the Referer; anybody else gets the error.
func TestServersHaveWhatTheServiceLacks(t *testing.T) {
	s := newShared(t)
	base := "http://" + publicHost
	old := contract.PathAssets + strings.Repeat("0", 64) + "/sub/lab.js?v=1"
	check := func(what, path, referer string, code int, location string) {
		t.Helper()
		r := s.alice.fetch("GET", path, "Referer: "+referer)
		if r.code != code || r.get("Location") != location || r.code >= 300 && r.get("Cache-Control") != "no-store" {
			t.Errorf("%s from %s: %d %v", what, referer, r.code, r.header)
		}
	}
	for referer, location := range map[string]string{
		"/user/alice/lab":                       "/user/alice/perijove/lab/sub/lab.js?v=1",
		"/user/alice/lab?reset":                 "/user/alice/perijove/lab/sub/lab.js?v=1",
		"/user/alice/lab/tree/a/lab":            "/user/alice/perijove/lab/sub/lab.js?v=1",
		"/user/alice/doc/tree/a.ipynb":          "/user/alice/perijove/lab/sub/lab.js?v=1",
		"/user/alice/demo/lab":                  "/user/alice/demo/perijove/lab/sub/lab.js?v=1",
		"/user/alice/demo/lab/workspaces/auto":  "/user/alice/demo/perijove/lab/sub/lab.js?v=1",
		"/user/alice/lab/lab":                   "/user/alice/lab/perijove/lab/sub/lab.js?v=1",
		"/user/%E5%BC%A0%20%E4%B8%89@x.org/lab": "/user/%E5%BC%A0%20%E4%B8%89@x.org/perijove/lab/sub/lab.js?v=1",
	} {
		check("an unknown digest", old, base+referer, 307, location)
	}
	for _, referer := range []string{
		"", base, base + "/", base + "/hub/home", base + "/hub/spawn-pending/alice", base + "/user/", base + "/user/alice", base + "/user/alice/tree",
		"http://evil.test/user/alice/lab", "http://" + publicHost + ".evil.test/user/alice/lab", "http://evil.test@" + publicHost + "/user/alice/lab", "//" + publicHost + "/user/alice/lab",
		"javascript:alert(1)", base + "//evil.test/user/alice/lab", base + "/user//lab", "/user/alice/lab",
	} {
		check("an unknown digest", old, referer, 404, "")
	}
	check("a file that is there", s.script, base+"/user/alice/lab", 200, "")
	s.stop()
	for range 5 { // Envoy first tries, then knows
		check("after the service's end", s.script, base+"/user/alice/lab", 307, "/user/alice/perijove/lab/main.js")
	}
	if r := s.alice.fetch("GET", s.script); r.code != 503 || r.get("Cache-Control") != "no-store" {
		t.Errorf("without a page: %d %v", r.code, r.header)
	}
	s.alice.visit("/user/alice/lab") // for the pass
	if r := s.alice.request("GET", s.script, nil, true, "Referer: "+base+"/user/alice/lab"); r.code != 200 || r.body != "her server's" {
		t.Errorf("followed: %d %q", r.code, r.body)
	}
}

// TestAServiceThatHangs: Envoy waits for it once in a while, and not for each of a page's files.
func TestAServiceThatHangs(t *testing.T) {
	s := newShared(t)
	s.stop()
	l, err := net.Listen("tcp", assetsAddr) // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	began := time.Now()
	for range 20 {
		r := s.alice.fetch("GET", s.script, "Referer: http://"+publicHost+"/user/alice/lab")
		if r.code != 307 {
			t.Fatalf("%d %v", r.code, r.header)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("20 files took %v", took)
	} else {
		t.Logf("20 files took %v", took)
	}
}

// S2: the service is told nothing of who asks, and no server is asked for what the service has.
func TestS2_AssetsNeedNoCookie(t *testing.T) {
	s := newShared(t)
	if cookies := s.alice.cookies(s.script); cookies != "" {
		t.Errorf("her browser sends %q", cookies)
	}
	s.mu.Lock()
	before := len(s.asked)
	s.mu.Unlock()
	if r := s.alice.fetch("GET", s.script, "Authorization: token x", "Cookie: perijove-pass=x"); r.code != 200 {
		t.Errorf("%d %v", r.code, r.header)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != before {
		t.Errorf("her server was asked for %v", s.asked[before:])
	}
}
