// Package login owns the pages where a session begins and ends: /hub/login, /hub/logout,
// and the addresses that OpenID Connect providers lead to and call (/hub/oauth_…).
//
// It asks a Checker (ldaplogin) whether a name and a password belong together, or a
// Provider (oidclogin) who came back from it, claims the user name for that login, makes
// the session and pass cookies, and leads people back to where they were going. It
// trusts no "next" that pkg/web/redirect refuses and hands out no pass that pkg/server/access
// forbids. It never decides about other pages' requests: pkg/auth/check does.
package login
