// Package accountpages owns the pages where people see and end what is theirs, /hub/token
// and /hub/sessions, and JupyterHub's REST paths for API tokens.
//
// authz answers them, since it keeps sessions and tokens. Envoy names the caller in the
// private headers, as for every other page of the hub (pkg/web/caller). A token is shown
// once, in the answer to the request that made it, and never again. The package decides
// nothing about other requests and judges no token: pkg/auth/liveness and pkg/auth/tokens do.
package accountpages
