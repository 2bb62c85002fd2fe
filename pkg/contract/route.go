package contract

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Route is what the name of one of Envoy's routes says. The xds-server writes the name. Envoy
// tells authz with each question which route it picked (MetadataRoute), and the edge's Lua
// filter lets a request to a server's address only after it has compared the owner
// (pkg/gateway/listener/confine.lua). So both decide from the route, never from a path that
// they parse themselves (CVE-2026-26205 and its relatives). Anything else that tells them as
// much is kept by every Envoy for every user: a rule and context_extensions cost 3.7 kB.
type Route struct {
	// Kind is KindServer or KindHub; the rest is of servers only.
	Kind string
	// Prefix is the path prefix with its slashes, percent-encoded.
	Prefix string
	// Owner is the raw name of the server's owner.
	Owner string
	// Server is the raw name of the server, "" for the default one.
	Server string
	// Address is where the server's pod listens.
	Address netip.AddrPort
	// Logout is set for a default server that the spawner made. authz answers its page
	// SegmentLogout, where JupyterLab's menu leads, with a redirect to PathLogout. A route of
	// its own for that page would cost Envoy 4 kB a user.
	Logout bool
}

// Kinds of routes that authz is asked about.
const (
	KindServer = "server"
	KindHub    = "hub"
)

// MetadataRoute is the gRPC metadata key in which Envoy tells authz the name of the route.
const MetadataRoute = "x-perijove-route"

// routeLogout ends the name of a route with Logout.
const routeLogout = "logout"

// Name is KindHub, or for a server prefix, owner and address in this order, joined by spaces;
// prefix and owner are percent-encoded, so they have none.
func (r Route) Name() string {
	if r.Kind == KindHub {
		return KindHub
	}
	name := r.Prefix + " " + EncodeHeader(r.Owner) + " " + r.Address.String()
	if r.Logout {
		name += " " + routeLogout
	}
	return name
}

var errRoute = errors.New("the route's name is none of ours")

// ParseRoute reverses Name; an error means that the name is not ours, or that its parts
// contradict each other.
func ParseRoute(name string) (Route, error) {
	if name == KindHub {
		return Route{Kind: KindHub}, nil
	}
	fields := strings.Split(name, " ")
	r := Route{Kind: KindServer, Prefix: fields[0]}
	switch {
	case len(fields) == 4 && fields[3] == routeLogout: //nolint:mnd // see Name
		r.Logout = true
	case len(fields) != 3: //nolint:mnd // see Name
		return Route{}, errRoute
	}
	below, ok := strings.CutPrefix(r.Prefix, PathUser)
	owner, rest, ended := strings.Cut(below, "/")
	if !ok || !ended {
		return Route{}, errRoute
	}
	server, rest, named := strings.Cut(rest, "/")
	if rest != "" || named == (server == "") {
		return Route{}, errRoute
	}
	var err error
	if r.Owner, err = DecodeHeader(fields[1]); err != nil {
		return Route{}, err
	}
	if in, err := DecodeHeader(owner); err != nil || in != r.Owner || r.Owner == "" {
		return Route{}, errRoute
	}
	if r.Server, err = DecodeHeader(server); err != nil {
		return Route{}, err
	}
	if r.Address, err = netip.ParseAddrPort(fields[2]); err != nil {
		return Route{}, fmt.Errorf("address of a route: %w", err)
	}
	return r, nil
}
