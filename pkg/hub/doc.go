// Package hub owns the pages under /hub/ that need a login and JupyterHub's REST paths
// for starting, stopping and watching servers.
//
// Who the visitor is it takes from the private headers that authz set, over mTLS from
// the gateway; a request without them gets 401. A visitor acts on their own servers, an
// administrator on everyone's; GET never changes anything. It keeps no state: what it
// shows it asks of spawn/kube at that moment, and it never decides how a server is made.
package hub
