package contract

// Private headers about how a visitor proved who they are. Set by authz on requests to
// the platform's own pages and API.
const (
	// HeaderSession is the ID of the visitor's session; absent when there is none.
	HeaderSession = "x-perijove-session"
	// HeaderScopes holds the scopes of the API token that a request came with, each
	// percent-encoded (EncodeHeader), joined by spaces. It is there exactly when a token,
	// and not a session, let the request in: no form token is needed then, since no
	// browser adds an Authorization header by itself.
	HeaderScopes = "x-perijove-scopes"
	// HeaderByToken is "true" on requests to a server that an API token let in. No cookie
	// was involved, so the server need not ask for its own form token.
	HeaderByToken = "x-perijove-by-token"
)

// Pages where people see and end what is theirs.
const (
	PathToken    = "/hub/token"
	PathSessions = "/hub/sessions"
)

// PatternOwnAPI matches (RE2, the whole path) the part of the REST API that authz answers,
// since it keeps tokens and sessions. The rest is the spawner's.
const PatternOwnAPI = `/hub/api/users/[^/]+/(tokens(/[^/]+)?|sessions)`
