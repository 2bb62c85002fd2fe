package hub

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/notebook"
	"github.com/perijove/perijove/pkg/web"
)

// visitor is who sent a request, as authz vouched for.
type visitor struct {
	name    string
	display string
	admin   bool
	xsrf    string
}

var (
	errAnonymous = errors.New("no identity in the request")
	errForeign   = errors.New("not the visitor's own server")
	errXSRF      = errors.New("request was not made by one of our pages")
)

// identify reads the private headers. A header that comes twice is refused rather than
// chosen from (H1).
func identify(r *http.Request) (visitor, error) {
	name, err := single(r, contract.HeaderUser)
	if err != nil || notebook.ValidUser(name) != nil {
		return visitor{}, errAnonymous
	}
	display, err := single(r, contract.HeaderDisplayName)
	if err != nil {
		return visitor{}, errAnonymous
	}
	admin, err := single(r, contract.HeaderAdmin)
	if err != nil {
		return visitor{}, errAnonymous
	}
	xsrf, err := single(r, contract.HeaderXSRF)
	if err != nil {
		return visitor{}, errAnonymous
	}
	return visitor{name: name, display: display, admin: admin == "true", xsrf: xsrf}, nil
}

// single returns the decoded value of a header that comes at most once.
func single(r *http.Request, key string) (string, error) {
	values := r.Header.Values(key)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return contract.DecodeHeader(values[0])
	}
	return "", errors.New("header is there more than once")
}

// may returns nil if the visitor may act on servers of owner.
func (v visitor) may(owner string) error {
	if v.admin || v.name == owner {
		return nil
	}
	return errForeign
}

func (v visitor) viewer() web.Viewer { return web.Viewer{Name: v.name, DisplayName: v.display} }

// checkXSRF refuses a state-changing request that did not come from one of our pages
// (S9): the browser must not call it cross-origin, and the session's token must be in
// the form or the header. A token in the URL does not count: URLs are logged.
func checkXSRF(r *http.Request, v visitor) error {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return errXSRF
	}
	token := r.Header.Get(contract.XSRFHeader)
	if token == "" {
		token = r.PostFormValue(contract.XSRFName)
	}
	if v.xsrf == "" || subtle.ConstantTimeCompare([]byte(token), []byte(v.xsrf)) != 1 {
		return errXSRF
	}
	return nil
}
