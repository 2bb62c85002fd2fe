package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/encoding"
)

//go:embed static/*
var static embed.FS

// assetVersion is the hash of a static file's content, "" when there is none.
func assetVersion(name string) string {
	b, err := static.ReadFile("static/" + name)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// assetURL is the address that pages load a static file from. The version is in the query and
// not in the name, so that a page of the old version finds the file during an upgrade.
func assetURL(name string) string {
	return contract.PathStatic + name + "?v=" + assetVersion(name)
}

// asset is a static file and what is sent of it.
type asset struct {
	version, kind string
	plain, zipped []byte
}

// assets reads and compresses the static files, by name.
func assets() map[string]asset {
	types := map[string]string{
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
	}
	entries, err := static.ReadDir("static")
	if err != nil {
		panic(fmt.Sprintf("embedded files: %v", err)) // a build without its own files
	}
	all := map[string]asset{}
	for _, entry := range entries {
		kind := types[path.Ext(entry.Name())]
		if kind == "" {
			continue
		}
		plain, err := static.ReadFile("static/" + entry.Name())
		if err != nil {
			panic(fmt.Sprintf("embedded file %s: %v", entry.Name(), err))
		}
		all[entry.Name()] = asset{version: assetVersion(entry.Name()), kind: kind, plain: plain, zipped: zip(plain)}
	}
	return all
}

func zip(plain []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(fmt.Sprintf("gzip: %v", err)) // a level that it does not know
	}
	_, _ = w.Write(plain) // a buffer takes everything
	_ = w.Close()
	return out.Bytes()
}

// Static serves the files under /hub/static/, without a login. Browsers may cache a URL with
// the right version for a year, and must ask again, with the ETag, for any other. The files are
// compressed here and once: Envoy would do it anew for each request, and anybody may send one.
func Static() http.Handler {
	all := assets()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		file, ok := all[strings.TrimPrefix(r.URL.Path, contract.PathStatic)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.kind)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Vary", "Accept-Encoding")
		h.Set("ETag", `"`+file.version+`"`)
		h.Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == file.version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		body := file.plain
		// A part is of the file as it is (RFC 9110 §14).
		if r.Header.Get("Range") == "" && encoding.Accepts(r.Header.Values("Accept-Encoding"), "gzip") {
			body = file.zipped
			h.Set("Content-Encoding", "gzip")
			h.Set("ETag", `"`+file.version+`-gzip"`) // a strong tag names bytes
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	})
}
