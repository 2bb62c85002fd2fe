package dataplane

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/perijove/perijove/pkg/server"
)

// script is a file that compresses well and is larger than one of Envoy's buffers.
var script = strings.Repeat("export const answer = (question) => question.length + 42; // perijove\n", 6000)

// written is when the files were: without it http.ServeContent sends no time.
var written = time.Unix(1_700_000_000, 0)

// files is a server with files of many types: /user/alice/<kind>?type=<Content-Type>.
func files(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	typed := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil // net/http guesses none
		if kind := r.URL.Query().Get("type"); kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		for _, name := range []string{"Content-Encoding", "Cache-Control", "Vary"} {
			if value := r.URL.Query().Get(name); value != "" {
				w.Header().Set(name, value)
			}
		}
	}
	file := func(w http.ResponseWriter, r *http.Request) {
		typed(w, r)
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", written, strings.NewReader(script))
	}
	for _, path := range []string{"file", "api/contents/", "lab/api/", "apis/", "files/", "docs/"} {
		mux.HandleFunc("/user/alice/"+path, file)
	}
	mux.HandleFunc("/user/alice/small", func(w http.ResponseWriter, r *http.Request) {
		typed(w, r)
		_, _ = io.WriteString(w, script[:1000])
	})
	mux.HandleFunc("/user/alice/open", func(w http.ResponseWriter, r *http.Request) { // never ends
		typed(w, r)
		text := make([]byte, 150_000)
		_, _ = rand.Read(text) // never fails
		_, _ = io.WriteString(w, hex.EncodeToString(text))
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	mux.HandleFunc("/user/alice/events", func(w http.ResponseWriter, r *http.Request) {
		typed(w, r)
		fmt.Fprintf(w, "data: first\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	mux.HandleFunc("/user/alice/", func(http.ResponseWriter, *http.Request) {})
	return mux
}

// withFiles is an env in which alice's server has files.
func withFiles(t *testing.T) (*env, *person) {
	t.Helper()
	s := newEnv(t)
	l, err := net.Listen("tcp", "10.99.0.1:8888")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: files(t)}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	s.addPod("jupyter-alice", server.ID{User: "alice"}, l.Addr().String())
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	if r := alice.visit("/user/alice/lab"); r.code != 200 {
		t.Fatalf("alice at her own server: %d %s", r.code, r.body)
	}
	return s, alice
}

const js = "/user/alice/file?type=text/javascript"

// decoded is a body without its encoding.
func decoded(t *testing.T, r reply) string {
	t.Helper()
	var from io.Reader = strings.NewReader(r.body)
	var err error
	switch encoding := r.get("Content-Encoding"); encoding {
	case "":
	case "br":
		from = brotli.NewReader(from)
	case "gzip":
		from, err = gzip.NewReader(from)
	case "zstd":
		from, err = zstd.NewReader(from)
	default:
		t.Fatalf("encoding %q", encoding)
	}
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(from)
	if err != nil {
		t.Fatalf("%s: %v", r.get("Content-Encoding"), err)
	}
	return string(body)
}

// TestEncodingIsTheClients: Envoy takes the encoding that its client accepts, brotli of those
// that it accepts alike.
func TestEncodingIsTheClients(t *testing.T) {
	_, alice := withFiles(t)
	for accepted, want := range map[string]string{
		"br": "br", "gzip": "gzip", "zstd": "zstd",
		"gzip, deflate, br, zstd": "br", // Chromium and Firefox
		"gzip, deflate":           "gzip",
		"gzip;q=1.0, br;q=0.5":    "gzip",
		"br;q=0, gzip":            "gzip",
		"*":                       "br",
		"identity":                "",
		"deflate":                 "",
		"br;q=0":                  "",
	} {
		r := alice.fetch("GET", js, "Accept-Encoding: "+accepted)
		if got := r.get("Content-Encoding"); r.code != 200 || got != want {
			t.Errorf("%q: %d in %q, want %q", accepted, r.code, got, want)
		}
		if decoded(t, r) != script {
			t.Errorf("%q: not the file", accepted)
		}
		if want != "" && (len(r.body) > len(script)/10 || r.get("Content-Length") == fmt.Sprint(len(script))) {
			t.Errorf("%q: %d bytes of %d, length %q", accepted, len(r.body), len(script), r.get("Content-Length"))
		}
		if r.get("Vary") != "Accept-Encoding" { // also of the one that is sent as it is: a cache keeps both
			t.Errorf("%q: Vary is %q", accepted, r.get("Vary"))
		}
	}
	if r := alice.fetch("GET", js+"&Vary=Cookie", "Accept-Encoding: br"); r.get("Vary") != "Cookie, Accept-Encoding" {
		t.Errorf("the server's Vary became %q", r.get("Vary"))
	}
}

// TestWhatIsCompressed: code, styles and what they draw with. Not pages and JSON, which hold
// secrets: the length of a compressed reply would tell them (BREACH).
func TestWhatIsCompressed(t *testing.T) {
	s, alice := withFiles(t)
	const accept = "Accept-Encoding: br, gzip, zstd"
	for kind, want := range map[string]string{
		"text/javascript": "br", "text/javascript; charset=utf-8": "br", "application/javascript": "br", "Text/CSS": "br",
		"image/svg%2Bxml": "br", "application/wasm": "br", "font/ttf": "br", "application/vnd.ms-fontobject": "br", "application/source-map": "br",
		"text/html": "", "text/html; charset=utf-8": "", "application/xhtml%2Bxml": "", "application/json": "", "text/plain": "", "text/event-stream": "",
		"application/octet-stream": "", "font/woff2": "", "font/woff": "", "image/png": "", "": "", "text/javascript-not": "",
	} {
		r := alice.fetch("GET", "/user/alice/file?type="+strings.ReplaceAll(kind, "; ", "%3B%20"), accept)
		if got := r.get("Content-Encoding"); got != want {
			t.Errorf("%q: in %q, want %q", kind, got, want)
		}
		if want == "" && (r.body != script || r.get("ETag") != `"v1"` || r.get("Vary") != "" || r.get("Content-Length") != fmt.Sprint(len(script))) {
			t.Errorf("%q was touched: %v", kind, r.header)
		}
	}
	for _, r := range []reply{alice.fetch("GET", "/hub/home", accept), s.newPerson().fetch("GET", "/hub/login", accept)} {
		if r.code != 200 || r.get("Content-Encoding") != "" || len(r.body) < 1024 {
			t.Errorf("a page of ours: %d in %q, %d bytes", r.code, r.get("Content-Encoding"), len(r.body))
		}
	}
	if r := alice.fetch("GET", "/user/alice/small?type=text/css", accept); r.get("Content-Encoding") != "" || r.body != script[:1000] {
		t.Errorf("a small file is in %q", r.get("Content-Encoding"))
	}
}

// TestPartsAndEncodedRepliesAreNotTouched: their bytes are counted, or are compressed already.
func TestPartsAndEncodedRepliesAreNotTouched(t *testing.T) {
	_, alice := withFiles(t)
	const accept = "Accept-Encoding: br, gzip"
	for name, headers := range map[string][]string{
		"a part":            {"Range: bytes=100-5099"},
		"a part by its tag": {"Range: bytes=100-5099", `If-Range: "v1"`},
	} {
		r := alice.fetch("GET", js, append(headers, accept)...)
		if r.code != 206 || r.body != script[100:5100] || r.get("Content-Encoding") != "" || r.get("ETag") != `"v1"` {
			t.Errorf("%s: %d, %d bytes, %v", name, r.code, len(r.body), r.header)
		}
	}
	// The tag of a compressed reply names other bytes: what follows it is whole, and not encoded.
	if r := alice.fetch("GET", js, "Range: bytes=100-5099", `If-Range: W/"v1"`, accept); r.code != 200 || r.body != script || r.get("Content-Encoding") != "" {
		t.Errorf("a part by the tag of a compressed reply: %d, %d bytes, %v", r.code, len(r.body), r.header)
	}
	for _, more := range []string{"&Content-Encoding=gzip", "&Content-Encoding=zstd", "&Cache-Control=no-transform"} {
		r := alice.fetch("GET", js+more, accept)
		if r.code != 200 || r.body != script || r.get("ETag") != `"v1"` || !strings.HasSuffix(more, r.get("Content-Encoding")) && r.get("Content-Encoding") != "" {
			t.Errorf("%s: %d, %d bytes, %v", more, r.code, len(r.body), r.header)
		}
	}
	if r := alice.fetch("GET", js, accept); r.get("Content-Encoding") != "br" { // negative control
		t.Errorf("the whole file: %v", r.header)
	}
}

// TestFetchedDataIsLeftAlone: what a script of a page fetches from an API is never compressible, so
// Envoy makes no filter for it. Whatever else looks alike is compressed.
func TestFetchedDataIsLeftAlone(t *testing.T) {
	_, alice := withFiles(t)
	const accept, file = "Accept-Encoding: br", "?type=text/javascript"
	for path, want := range map[string]string{
		"/user/alice/api/contents/a.js" + file: "", "/user/alice/lab/api/settings" + file: "", "/user/alice/docs/api" + file: "",
		"/user/alice/apis/a.js" + file: "br", "/user/alice/files/a.js" + file + "&of=/api/": "br", "/user/alice/file" + file: "br",
	} {
		if r := alice.fetch("GET", path, accept, "Sec-Fetch-Dest: empty"); r.code != 200 || r.get("Content-Encoding") != want || decoded(t, r) != script {
			t.Errorf("%s: %d in %q, want %q", path, r.code, r.get("Content-Encoding"), want)
		}
	}
	for _, dest := range []string{"script", "style", "worker", "document"} { // negative control
		if r := alice.fetch("GET", "/user/alice/docs/api/a.js"+file, accept, "Sec-Fetch-Dest: "+dest); r.get("Content-Encoding") != "br" {
			t.Errorf("a %s below /api/: in %q", dest, r.get("Content-Encoding"))
		}
	}
}

// TestTagOfACompressedReply: it is weak, and the server answers 304 to it.
func TestTagOfACompressedReply(t *testing.T) {
	_, alice := withFiles(t)
	for _, encoding := range []string{"br", "zstd", "gzip"} {
		r := alice.fetch("GET", js, "Accept-Encoding: "+encoding)
		tag := r.get("ETag")
		if tag != `W/"v1"` || r.get("Content-Encoding") != encoding {
			t.Errorf("%s: tag %s, %v", encoding, tag, r.header)
		}
		r = alice.fetch("GET", js, "Accept-Encoding: "+encoding, "If-None-Match: "+tag)
		if r.code != 304 || r.body != "" || r.get("Content-Encoding") != "" {
			t.Errorf("%s again: %d, %d bytes, %v", encoding, r.code, len(r.body), r.header)
		}
		if r = alice.fetch("GET", js, "Accept-Encoding: "+encoding, `If-None-Match: W/"v0"`); r.code != 200 || decoded(t, r) != script { // negative control
			t.Errorf("%s with an old tag: %d", encoding, r.code)
		}
	}
	// HEAD has no body to compress: it tells of the file as it is (RFC 9110 §9.3.2), and that it varies.
	if r := alice.fetch("HEAD", js, "Accept-Encoding: br"); r.code != 200 || r.get("Content-Encoding") != "" || r.get("Vary") != "Accept-Encoding" {
		t.Errorf("HEAD: %d, %v", r.code, r.header)
	}
}

// TestHTTP10IsCompressed: such a client reads to the end of the connection, chunks are unknown to it.
func TestHTTP10IsCompressed(t *testing.T) {
	s, alice := withFiles(t)
	for _, encoding := range []string{"gzip", "br", ""} {
		r := s.rawBytes("GET " + js + " HTTP/1.0\r\nHost: " + publicHost + "\r\nCookie: " + alice.cookies("/user/alice/") +
			"\r\nAccept-Encoding: " + encoding + "\r\n\r\n")
		if r.code != 200 || r.get("Content-Encoding") != encoding || len(r.header.Values("Transfer-Encoding")) != 0 || decoded(t, r) != script {
			t.Errorf("%q: %d, %v", encoding, r.code, r.header)
		}
	}
}

// TestStreamsAreNotHeld: an event is with its reader at once, and so is the beginning of a script
// that the server has not finished.
func TestStreamsAreNotHeld(t *testing.T) {
	s, alice := withFiles(t)
	for kind, want := range map[string]string{"text/event-stream": "", "text/javascript": "gzip"} {
		resp := s.open(alice, "/user/alice/events?type="+kind, "gzip")
		if got := resp.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: in %q, want %q", kind, got, want)
		}
		var body io.Reader = resp.Body
		if want != "" {
			unpacked, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = unpacked
		}
		first := make([]byte, len("data: first\n\n"))
		if _, err := io.ReadFull(body, first); err != nil || !bytes.Equal(first, []byte("data: first\n\n")) {
			t.Errorf("%s: read %q, %v", kind, first, err)
		}
	}
}

// open begins a reply that has no end.
func (s *env) open(p *person, path, encoding string) *http.Response {
	s.t.Helper()
	ctx, stop := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address(path), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", encoding)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := p.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// D10: a compressor stays in memory for as long as its client reads. Envoy's default for brotli's
// input block takes 54 MB then, and twenty slow readers would be Envoy's end.
func TestD10_CompressorsAreSmall(t *testing.T) {
	s, alice := withFiles(t)
	a := &abuseEnv{env: s}
	const n, most = 20, 2 << 20
	for _, encoding := range []string{"gzip", "br", "zstd"} {
		before := a.memory()
		for range n {
			resp := s.open(alice, "/user/alice/open?type=text/javascript", encoding)
			if got := resp.Header.Get("Content-Encoding"); got != encoding {
				t.Fatalf("in %q, want %q", got, encoding)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
		}
		each := (a.memory() - before) / n
		t.Logf("%s: %d kB for each reader", encoding, each>>10)
		if each > most || each < 64<<10 { // less would be none
			t.Errorf("%s: each slow reader costs %d kB, want at most %d", encoding, each>>10, most>>10)
		}
	}
	// Anybody may ask for the files of our own pages: they cost no compressor.
	before := a.memory()
	for range n {
		resp := s.open(s.newPerson(), "/hub/static/app.css", "br")
		if got := resp.Header.Get("Content-Encoding"); resp.StatusCode != 200 || got == "br" {
			t.Fatalf("our own style: %d in %q", resp.StatusCode, got)
		}
	}
	if each := (a.memory() - before) / n; each > 256<<10 {
		t.Errorf("a reader of our own style costs %d kB", each>>10)
	}
}
