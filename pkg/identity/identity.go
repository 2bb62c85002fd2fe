package identity

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
