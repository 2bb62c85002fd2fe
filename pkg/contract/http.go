package contract

import "time"

// PrivatePrefix begins every private header. Envoy removes whatever a client sent under
// it before anything reads it, so such a header comes from Envoy, authz or a route.
const PrivatePrefix = "x-perijove-"

// Private headers.
const (
	// HeaderScope is the request path without its query; the scope key is its
	// second segment.
	HeaderScope = "x-perijove-scope"
	// HeaderDestination is the IP:port of the pod; each route overwrites it.
	HeaderDestination = "x-perijove-dst"
	// HeaderProofName is the name that the pod's certificate must have; each route of a
	// pod with AnnotationProof sets it.
	HeaderProofName = "x-perijove-proof-name"
	// HeaderServerSecret proves to a spawned server that a request came through
	// Envoy; each route of a spawned pod sets it.
	HeaderServerSecret = "x-perijove-server-secret"
	// HeaderPassOwner is the owner of the servers that the visitor's pass is for,
	// percent-encoded. Envoy alone sets it, from a pass that it verified.
	HeaderPassOwner = "x-perijove-pass-owner"
	// HeaderUser is the visitor's user name, percent-encoded (EncodeHeader). Set by authz,
	// or by Envoy from a pass.
	HeaderUser = "x-perijove-user"
	// HeaderDisplayName is the visitor's full name, percent-encoded. Set as HeaderUser is.
	HeaderDisplayName = "x-perijove-display-name"
	// HeaderAdmin is "true" for administrators, else absent. Set by authz.
	HeaderAdmin = "x-perijove-admin"
	// HeaderXSRF is the token that state-changing forms and calls under /hub/ must
	// repeat (form field or header XSRFName). Set by authz, bound to the session.
	HeaderXSRF = "x-perijove-xsrf"
	// HeaderClientAddress is the visitor's IP address as Envoy sees it, trusted proxies
	// taken into account. Set by the routes to the login service.
	HeaderClientAddress = "x-perijove-client-address"

	// HeaderProtocol is the protocol of an upgrade as Envoy sees it. Envoy sets it, judges by it
	// and takes it out again.
	HeaderProtocol = "x-perijove-protocol"
	// HeaderRequestID is made by Envoy and passed on by every service.
	HeaderRequestID = "x-request-id"
)

// Claims of a pass (a JSON Web Token, RFC 7519). Claims that become headers are
// percent-encoded in the token itself: Envoy copies them as they are.
const (
	PassIssuer       = "perijove"
	ClaimUser        = "sub"   // becomes HeaderUser
	ClaimDisplayName = "name"  // becomes HeaderDisplayName
	ClaimOwner       = "owner" // becomes HeaderPassOwner
	// PathPassKeys is where authz tells Envoy the public keys of passes (RFC 7517). No
	// route leads there from outside.
	PathPassKeys = "/internal/pass-keys"
)

// What authz tells Envoy about a request beside its headers: dynamic metadata, which no client
// can write and no server receives.
const (
	// MetadataAuthz is the namespace that Envoy's ext_authz filter puts it in.
	MetadataAuthz = "envoy.filters.http.ext_authz"
	// MetadataOurs marks an answer that authz wrote.
	MetadataOurs = "perijove"
	// MetadataSession says whose session opened a websocket. Envoy gives it back with each
	// report about the websocket (InputReports).
	MetadataSession = "session"
)

// Envoy tells authz how much each open websocket has received from its client: authz sees no
// request of a user who only types.
const (
	// InputReports is the name of the access log that carries the reports.
	InputReports = "input"
	// InputEvery is the time between two reports about one websocket.
	InputEvery = 10 * time.Second
)

// Cookies. All begin with "perijove-": pkg/gateway/listener/confine.lua keeps these from servers, and
// servers from setting them.
const (
	// CookieSession holds the sealed session, path PathHub: no pod ever receives it.
	CookieSession = "perijove-session"
	// CookiePass holds the signed pass for one owner's servers, path /user/<owner>/.
	CookiePass = "perijove-pass"
	// CookieLogin holds the pre-session value that the login form must repeat.
	CookieLogin = "perijove-login"
	// CookieHandOver ties a login to one browser while it goes from the hub's host to a
	// user's host. Only in installations with a host for each user.
	CookieHandOver = "perijove-handover"
	// CookieDevice marks a browser that has logged in before, so that guesses from elsewhere
	// do not lock it out; path PathLogin. It opens no session.
	CookieDevice = "perijove-device"
)

// SegmentHandOver ends the path /user/<name>/oauth_callback on a user's host, which takes over
// a login from the hub's host. JupyterHub has the same path.
const SegmentHandOver = "oauth_callback"

// XSRFName is the form field that repeats the token; XSRFHeader the header. Both
// have the names that JupyterHub's own pages and clients use.
const (
	XSRFName   = "_xsrf"
	XSRFHeader = "X-XSRFToken"
)

// QueryToken is the query parameter of a server's address in which a script may bring its API
// token, as with JupyterHub. authz takes it out before the server sees it.
const QueryToken = "token"

// Paths of the platform's own pages.
const (
	PathHub          = "/hub/"
	PathHome         = "/hub/home"
	PathAdmin        = "/hub/admin"
	PathAdminUsers   = PathAdmin + "/users" // then a person's name
	PathLogin        = "/hub/login"
	PathLogout       = "/hub/logout"
	PathSpawn        = "/hub/spawn"
	PathSpawnPending = "/hub/spawn-pending"
	PathUserRedirect = "/hub/user-redirect/"
	PathAPI          = "/hub/api"
	PathStatic       = "/hub/static/"
	// PathHealth is answered by Envoy, for any Host: 200 without a word.
	PathHealth = "/hub/health"
	PathUser   = "/user/"
	// SegmentLogout is a server's page that leads to PathLogout (ExtLogout).
	SegmentLogout = "logout"
)

// Upstream says which service answers a part of /hub/.
type Upstream string

// The services behind /hub/ and PathAssets; the values are xDS cluster names.
const (
	UpstreamHub    Upstream = "hub"
	UpstreamLogin  Upstream = "login"
	UpstreamAssets Upstream = "assets"
)

// HubPage is one second path segment under /hub/ and the service that answers it.
type HubPage struct {
	Segment  string   // "home" for /hub/home and everything below it; "" for /hub/ itself
	Upstream Upstream // cluster that answers
	Open     bool     // true: reached without a session
}

// HubPages lists every page under /hub/. A page that is not listed does not exist: Envoy
// answers 404 without asking a service. Open pages are exact decisions made here, not
// patterns (security: skip-auth rules that match more than was meant).
func HubPages() []HubPage {
	return []HubPage{
		{Segment: "", Upstream: UpstreamHub},
		{Segment: "home", Upstream: UpstreamHub},
		{Segment: "admin", Upstream: UpstreamHub},
		{Segment: "spawn", Upstream: UpstreamHub},
		{Segment: "spawn-pending", Upstream: UpstreamHub},
		{Segment: "stop", Upstream: UpstreamHub},
		{Segment: "restart", Upstream: UpstreamHub},
		{Segment: "log", Upstream: UpstreamHub},
		{Segment: "keep", Upstream: UpstreamHub},
		{Segment: "new-server", Upstream: UpstreamHub},
		{Segment: "delete", Upstream: UpstreamHub},
		{Segment: "delete-user", Upstream: UpstreamHub},
		{Segment: "api", Upstream: UpstreamHub},
		{Segment: "user", Upstream: UpstreamHub},
		{Segment: "user-redirect", Upstream: UpstreamHub},
		{Segment: "token", Upstream: UpstreamLogin},
		{Segment: "sessions", Upstream: UpstreamLogin},
		{Segment: "login", Upstream: UpstreamLogin, Open: true},
		{Segment: "logout", Upstream: UpstreamLogin, Open: true},
		{Segment: "oauth_login", Upstream: UpstreamLogin, Open: true},
		{Segment: "oauth_callback", Upstream: UpstreamLogin, Open: true},
		{Segment: "oauth_logout", Upstream: UpstreamLogin, Open: true},
		{Segment: "static", Upstream: UpstreamLogin, Open: true},
	}
}
