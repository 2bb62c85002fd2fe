package handoff

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/pkg/web/redirect"
)

// ReturnTo is what a browser on a person's host wants: to get to Path there with a login.
type ReturnTo struct {
	Owner string // whose servers, a raw name
	State string // digest of the browser's nonce
	Path  string // a page of the owner's, with its query
}

// NewReturnTo returns the ReturnTo for path, or for the owner's default server when path is not one
// of the owner's pages. nonce is what the browser's cookie holds.
func NewReturnTo(owner, path, nonce string) ReturnTo {
	w := ReturnTo{Owner: owner, State: digest(nonce), Path: path}
	if !w.valid() {
		w.Path = server.ID{User: owner}.Prefix()
	}
	return w
}

// digest keeps the nonce itself out of addresses, which end up in histories.
func digest(nonce string) string {
	sum := sha256.Sum256([]byte(nonce))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// URL is the ReturnTo as the value of the login page's "next".
func (w ReturnTo) URL(site origin.Site) string {
	return w.callback(site, url.Values{"state": {w.State}, "next": {w.Path}})
}

// Parse reads what URL wrote. Everything else is refused, whatever its host looks like: what
// is accepted is written anew and compared, so no second reader can see another address in
// it (U1-U3).
func Parse(site origin.Site, next string) (ReturnTo, bool) {
	if !site.PerUser() {
		return ReturnTo{}, false
	}
	u, err := url.Parse(next)
	if err != nil {
		return ReturnTo{}, false
	}
	owner, segment, err := server.ParsePath(u.EscapedPath())
	if err != nil || segment != contract.SegmentHandOver {
		return ReturnTo{}, false
	}
	w := ReturnTo{Owner: owner, State: u.Query().Get("state"), Path: u.Query().Get("next")}
	return w, w.valid() && w.URL(site) == next
}

// valid reports whether Path is a page of the owner's and State a digest.
func (w ReturnTo) valid() bool {
	path, ok := redirect.Safe(w.Path)
	if !ok || len(w.State) != len(digest("")) {
		return false
	}
	path, _, _ = strings.Cut(path, "?")
	owner, _, err := server.ParsePath(path)
	return err == nil && owner == w.Owner
}

func (w ReturnTo) callback(site origin.Site, query url.Values) string {
	return site.UserBaseURL(w.Owner) + server.ID{User: w.Owner}.Prefix() + contract.SegmentHandOver + "?" + query.Encode()
}
