package handover

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/notebook"
	"github.com/perijove/perijove/pkg/origin"
	"github.com/perijove/perijove/pkg/redirect"
)

// Wish is what a browser on a person's host wants: to get to Path there with a login.
type Wish struct {
	Owner string // whose servers, a raw name
	State string // digest of the browser's nonce
	Path  string // a page of the owner's, with its query
}

// NewWish returns the wish for path, or for the owner's default server when path is not one
// of the owner's pages. nonce is what the browser's cookie holds.
func NewWish(owner, path, nonce string) Wish {
	w := Wish{Owner: owner, State: digest(nonce), Path: path}
	if !w.valid() {
		w.Path = notebook.ID{User: owner}.Prefix()
	}
	return w
}

// digest keeps the nonce itself out of addresses, which end up in histories.
func digest(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// URL is the wish as the value of the login page's "next".
func (w Wish) URL(site origin.Site) string {
	return w.callback(site, url.Values{"state": {w.State}, "next": {w.Path}})
}

// Parse reads what URL wrote. Everything else is refused, whatever its host looks like: what
// is accepted is written anew and compared, so no second reader can see another address in
// it (U1-U3).
func Parse(site origin.Site, next string) (Wish, bool) {
	if !site.PerUser() {
		return Wish{}, false
	}
	u, err := url.Parse(next)
	if err != nil {
		return Wish{}, false
	}
	owner, segment, _, err := notebook.ParsePath(u.EscapedPath())
	if err != nil || segment != contract.SegmentHandOver {
		return Wish{}, false
	}
	w := Wish{Owner: owner, State: u.Query().Get("state"), Path: u.Query().Get("next")}
	return w, w.valid() && w.URL(site) == next
}

// valid reports whether Path is a page of the owner's and State a digest.
func (w Wish) valid() bool {
	path, ok := redirect.Safe(w.Path)
	if !ok || len(w.State) != len(digest("")) {
		return false
	}
	path, _, _ = strings.Cut(path, "?")
	owner, _, _, err := notebook.ParsePath(path)
	return err == nil && owner == w.Owner
}

func (w Wish) callback(site origin.Site, query url.Values) string {
	return site.ToUser(w.Owner) + notebook.ID{User: w.Owner}.Prefix() + contract.SegmentHandOver + "?" + query.Encode()
}
