package assets

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/encoding"
)

// Handler serves trees, by the name of their image: their files to anybody, and an index to the
// spawner (contract.AssetsIndex). It answers GET and HEAD.
func Handler(trees map[string]*Tree) *http.ServeMux {
	byDigest, index := map[string]*Tree{}, contract.AssetsIndex{}
	for image, tree := range trees {
		byDigest[tree.digest] = tree
		index[image] = contract.ServedAssets{Digest: tree.digest, First: tree.First()}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+contract.PathAssets, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		digest, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, contract.PathAssets), "/")
		tree := byDigest[digest]
		if tree == nil {
			absent(w, r)
			return
		}
		tree.serve(w, r, name)
	})
	mux.HandleFunc("GET "+contract.PathAssetsIndex, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(index) // an error means that the spawner went away
	})
	return mux
}

// absent is remembered by no browser: the next version of the service may have the file.
func absent(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	http.NotFound(w, r)
}

func (t *Tree) serve(w http.ResponseWriter, r *http.Request, name string) {
	file, ok := t.files[name]
	if !ok {
		absent(w, r)
		return
	}
	coding := file.coding(r.Header)
	form := file.forms[coding]
	opened, err := t.root.Open(form.name)
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "the file cannot be read", http.StatusInternalServerError)
		return
	}
	defer func() { _ = opened.Close() }()
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable") // the digest in the address names the bytes
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", form.tag)
	// No page of another site may have these run in it.
	h.Set("Cross-Origin-Resource-Policy", "same-site")
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	http.ServeContent(w, r, "", time.Time{}, opened)
}

// coding is the best that the client accepts and there is; "" is the file as it is. The bytes of each
// are fixed, so a client may ask for a part of any (RFC 9110 §14), as Chromium does to go on with
// a file that it fetched ahead.
func (f file) coding(asked http.Header) string {
	for _, coding := range []string{"br", "gzip"} {
		if _, ok := f.forms[coding]; ok && encoding.Accepts(asked.Values("Accept-Encoding"), coding) {
			return coding
		}
	}
	return ""
}
