package access

import "errors"

// User is a person whose login succeeded.
type User struct {
	// Name is the canonical name, taken from the directory's entry and never from
	// the login form: two spellings of one person must not become two owners.
	Name string
	// DisplayName is for people to read and decides nothing; it may be empty.
	DisplayName string
	// Groups are the names of the groups that the directory reported at login.
	Groups []string
	// Admin is true for administrators of the installation.
	Admin bool
}

// How a login fails, whoever checked it. Test with errors.Is.
var (
	// ErrCredentials: no such user or a wrong password; nobody is told which.
	ErrCredentials = errors.New("user name or password is wrong")
	// ErrNotAllowed: the password is right, but no rule lets this person in.
	ErrNotAllowed = errors.New("not allowed to use this platform")
	// ErrUnavailable: the directory did not answer, or not as it should.
	ErrUnavailable = errors.New("the directory is not available")
)
