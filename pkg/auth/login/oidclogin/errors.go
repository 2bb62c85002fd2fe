package oidclogin

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/perijove/perijove/pkg/server/access"
)

// How a login fails besides access.ErrNotAllowed and access.ErrUnavailable. Test
// with errors.Is.
var (
	// ErrState: the answer belongs to no login that this browser began within the last
	// ten minutes, or was used already.
	ErrState = errors.New("the answer belongs to no login of this browser")
	// ErrDeclined: the person or the provider said no.
	ErrDeclined = errors.New("the provider did not log the person in")
	// ErrBusy: too many logins wait for this provider.
	ErrBusy = errors.New("too many logins wait for the provider")
	// ErrToken: what the provider gave proves nothing.
	ErrToken = errors.New("the provider's token is refused")
)

// errorCode is what RFC 6749 §5.2 allows in "error", shortened.
var errorCode = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

// exchangeError tells what the token endpoint's refusal means, without a word of its
// body: that may repeat a code, a token or a secret, and errors are logged (S14).
func exchangeError(err error, refused error) error {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) {
		return fmt.Errorf("%w: token request: %w", access.ErrUnavailable, quiet(err))
	}
	code := said.ErrorCode
	if !errorCode.MatchString(code) {
		code = "?"
	}
	status := 0
	if said.Response != nil {
		status = said.Response.StatusCode
	}
	if code == "invalid_grant" {
		return fmt.Errorf("%w: the token endpoint answers %d %s", refused, status, code)
	}
	// Whatever else it says is about us or itself, not about the person.
	return fmt.Errorf("%w: the token endpoint answers %d %s", access.ErrUnavailable, status, code)
}

// quiet shortens an error: libraries quote the bodies of answers.
func quiet(err error) error {
	const limit = 200
	var mismatch *oidc.IssuerMismatchError
	if errors.As(err, &mismatch) || len(err.Error()) <= limit {
		return err
	}
	return errors.New(err.Error()[:limit] + "…")
}
