// Package hub owns the pages under /hub/ that need a login and JupyterHub's REST paths
// for starting, stopping and watching servers.
//
// It takes the caller's name, groups and rights from the private headers that authz set,
// over mTLS from the gateway; a request without them gets 401. Users act on their own
// servers, administrators on everyone's; GET never changes anything. It keeps no state:
// each page shows what its Cluster says at that moment. How a server is made is decided
// in package spawn.
package hub
