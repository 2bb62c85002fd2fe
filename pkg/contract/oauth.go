package contract

// Addresses of a login with an OpenID Connect provider; the provider's id follows. Each
// provider has a callback of its own, so that none can answer for another. The first two are
// JupyterHub's, which has one provider and no id.
const (
	PathOAuthLogin    = "/hub/oauth_login/"
	PathOAuthCallback = "/hub/oauth_callback/"
	// PathOAuthLogout takes a provider's message that a user has logged out
	// (OpenID Connect Back-Channel Logout 1.0).
	PathOAuthLogout = "/hub/oauth_logout/"
)

// CookieOAuth begins the names of cookies that each carry one login under way at a provider;
// the beginning of the login's state follows. Path PathHub.
const CookieOAuth = "perijove-oauth-"
