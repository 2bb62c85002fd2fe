package caller

import (
	"crypto/subtle"
	"errors"
	"net/http"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Caller is who sent a request.
type Caller struct {
	access.User
	// Session is the ID of the session, "" for a request with an API token.
	Session string
	// ByToken is true for a request with an API token, Scopes are the token's.
	ByToken bool
	Scopes  []string
	// Subject is whom the request is about, with groups, where an administrator asks about
	// somebody else who has an account; else the zero User.
	Subject access.User

	xsrf string
}

// Errors.
var (
	ErrAnonymous = errors.New("no identity in the request")
	ErrMethod    = errors.New("this path does not take the method")
	ErrXSRF      = errors.New("request was not made by one of our pages")
)

// From reads the private headers, or fails with ErrAnonymous. A header that comes twice
// is refused rather than chosen from (H1).
func From(h http.Header) (Caller, error) {
	var v Caller
	var admin string
	var subject []string
	for key, into := range map[string]*string{
		contract.HeaderUser: &v.Name, contract.HeaderDisplayName: &v.DisplayName, contract.HeaderAdmin: &admin,
		contract.HeaderXSRF: &v.xsrf, contract.HeaderSession: &v.Session,
	} {
		value, err := single(h, key)
		if err != nil {
			return Caller{}, ErrAnonymous
		}
		if *into, err = contract.DecodeHeader(value); err != nil {
			return Caller{}, ErrAnonymous
		}
	}
	for key, into := range map[string]*[]string{contract.HeaderScopes: &v.Scopes, contract.HeaderGroups: &v.Groups, contract.HeaderSubject: &subject} {
		value, err := single(h, key)
		if err != nil {
			return Caller{}, ErrAnonymous
		}
		if *into, err = contract.DecodeHeaders(value); err != nil {
			return Caller{}, ErrAnonymous
		}
	}
	if server.ValidUser(v.Name) != nil {
		return Caller{}, ErrAnonymous
	}
	v.Admin = admin == "true"
	if len(subject) > 0 && v.Admin {
		v.Subject = access.User{Name: subject[0], Groups: subject[1:]}
	}
	_, v.ByToken = h[http.CanonicalHeaderKey(contract.HeaderScopes)]
	return v, nil
}

// Grants is what the request's session or API token is good for.
func (c Caller) Grants() access.Grants {
	if c.ByToken {
		return access.ByToken(c.Scopes)
	}
	return access.BySession()
}

// Admit is what stands before every page and REST path: it bounds the body of r to limit
// bytes, reads who the caller is and, of a request that may change something, whether it
// is theirs (CheckXSRF). The caller is returned beside ErrXSRF too, for the refusal.
func Admit(w http.ResponseWriter, r *http.Request, limit int64) (Caller, error) {
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	v, err := From(r.Header)
	if err == nil && r.Method != http.MethodGet && r.Method != http.MethodHead {
		err = v.CheckXSRF(r)
	}
	return v, err
}

// single returns the value of a header that comes at most once.
func single(h http.Header, key string) (string, error) {
	values := h.Values(key)
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", errors.New("header is there more than once")
}

// CheckXSRF refuses, with ErrXSRF, a state-changing request that did not come from one
// of our pages (S9): the browser must not call it cross-origin, and the session's token
// must be in the form or the header. A token in the URL does not count: URLs are logged.
// A request with an API token comes from no page.
func (v Caller) CheckXSRF(r *http.Request) error {
	if v.ByToken {
		return nil
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return ErrXSRF
	}
	token := r.Header.Get(contract.XSRFHeader)
	if token == "" {
		token = r.PostFormValue(contract.XSRFName)
	}
	if v.xsrf == "" || subtle.ConstantTimeCompare([]byte(token), []byte(v.xsrf)) != 1 {
		return ErrXSRF
	}
	return nil
}

// XSRF is the token that forms must repeat.
func (v Caller) XSRF() string { return v.xsrf }
