package access

// Kind is what a route leads to.
type Kind int

// Kinds of targets. The zero Kind is unknown and nobody enters it.
const (
	Unknown Kind = iota
	// Server is a user's own server.
	Server
	// Hub is the platform's own pages and API, which judge their objects themselves.
	Hub
)

// Request is what a visitor wants to enter.
type Request struct {
	Kind Kind
	// Owner is the raw name of the server's owner (Kind Server).
	Owner string
	// Server is the server's raw name, "" for the default one (Kind Server).
	Server string
}

// Decision is the answer; the zero value forbids.
type Decision int

// Decisions.
const (
	Forbid Decision = iota
	Enter
)

// Decide lets owners into their servers, administrators into every server and anyone
// with a name into the hub. Everything else is forbidden.
func Decide(user User, req Request) Decision {
	if user.Name == "" {
		return Forbid
	}
	switch req.Kind {
	case Hub:
		return Enter
	case Server:
		// Names are compared byte for byte: folding case would make ALICE's pods alice's (P8).
		if req.Owner != "" && (user.Admin || user.Name == req.Owner) {
			return Enter
		}
	}
	return Forbid
}
