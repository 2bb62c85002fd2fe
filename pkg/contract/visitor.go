package contract

// Private headers about a visitor's proof of identity. Set by authz on requests to the
// platform's own pages and API.
const (
	// HeaderSession is the ID of the visitor's session; absent when there is none.
	HeaderSession = "x-perijove-session"
	// HeaderScopes holds the scopes of the API token that a request came with, each
	// percent-encoded (EncodeHeader), joined by spaces. It is there exactly when a token,
	// and not a session, let the request in: no form token is needed then, since no
	// browser adds an Authorization header by itself.
	HeaderScopes = "x-perijove-scopes"
	// HeaderGroups holds the names of the visitor's groups, as the directory or provider
	// reported them last, each percent-encoded, joined by spaces; absent without groups. Set by
	// authz on requests to the platform's own pages and API. It is as hard to forge as
	// HeaderUser: Envoy removes a client's copy, and the spawner takes requests from the
	// gateway's certificate only.
	HeaderGroups = "x-perijove-groups"
	// HeaderByToken is "true" on requests to a server that an API token let in. No cookie
	// was involved, so the server need not ask for its own form token.
	HeaderByToken = "x-perijove-by-token"
)

// AuthzHeaders are the private headers that authz may set or remove on a request. Envoy
// refuses any other.
func AuthzHeaders() []string {
	return []string{HeaderUser, HeaderDisplayName, HeaderAdmin, HeaderXSRF, HeaderSession, HeaderScopes, HeaderByToken, HeaderGroups, HeaderSubject}
}

// Pages where users see and end their own tokens and sessions.
const (
	PathToken    = "/hub/token"
	PathSessions = "/hub/sessions"
)
