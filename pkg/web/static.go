package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
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

// assetVersions are the hashes of all static files by name.
func assetVersions() map[string]string {
	all := map[string]string{}
	entries, _ := static.ReadDir("static") // cannot fail: it is in the program
	for _, e := range entries {
		all[e.Name()] = assetVersion(e.Name())
	}
	return all
}

// assetURL is the address that pages load a static file from. The version is in the query and
// not in the name, so that a page of the old version finds the file during an upgrade.
func assetURL(name string) string {
	return contract.PathStatic + name + "?v=" + assetVersion(name)
}

// Static serves the files under /hub/static/, without a login. Browsers may cache a URL with
// the right version for a year, and must ask again, with the ETag, for any other.
func Static() http.Handler {
	types := map[string]string{
		".css": "text/css; charset=utf-8",
		".js":  "text/javascript; charset=utf-8",
		".svg": "image/svg+xml",
	}
	versions := assetVersions()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, contract.PathStatic)
		version := versions[name]
		if version == "" || types[path.Ext(name)] == "" {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", types[path.Ext(name)])
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("ETag", `"`+version+`"`)
		h.Set("Cache-Control", "no-cache")
		if r.URL.Query().Get("v") == version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		http.ServeFileFS(w, r, static, "static/"+name)
	})
}
