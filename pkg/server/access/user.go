package access

import "errors"

// User is a user after a successful login.
type User struct {
	// Name is the canonical name, from the directory's entry or the provider's claim and never
	// from the login form: two spellings of one name must not become two owners.
	Name string
	// DisplayName is shown on pages and decides nothing; it may be empty.
	DisplayName string
	// Groups are the names of the groups that the directory or provider reported.
	Groups []string
	// Admin is true for administrators of the installation.
	Admin bool
}

// The ways in which a login fails, by directory or provider. Test with errors.Is.
var (
	// ErrCredentials: no such user or a wrong password. The login page does not say which.
	ErrCredentials = errors.New("user name or password is wrong")
	// ErrNotAllowed: the directory or provider knows the user, but no rule lets them in.
	ErrNotAllowed = errors.New("not allowed to use this platform")
	// ErrUnavailable: the directory or provider did not answer, or not as it should.
	ErrUnavailable = errors.New("the directory is not available")
)
