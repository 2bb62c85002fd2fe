package check

import (
	"context"
	"errors"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"

	"github.com/perijove/perijove/pkg/contract"
)

// Request is what a decision may depend on.
type Request struct {
	// Kind, Owner, Server, Prefix and Logout come from the route (contract.Route).
	Kind, Owner, Server, Prefix string
	// Logout says that the server's page logout is ours.
	Logout bool
	Method string
	// Path is the request target with its query, as Envoy normalized it.
	Path string
	Host string
	// Header values as the client sent them; several of one name are joined by Envoy.
	Cookie, Accept, AcceptLanguage, Origin, Upgrade string
	FetchSite, FetchMode, FetchDest, Authorization  string
	RequestID                                       string
	// Client is the client's address as Envoy sees it; for the audit log only.
	Client string
}

var errMalformed = errors.New("the check request lacks its HTTP attributes")

// translate takes Envoy's message about a request on one route apart. Envoy gives header names
// in lower case.
func translate(check *authv3.CheckRequest, route contract.Route) (Request, error) {
	attrs := check.GetAttributes()
	http := attrs.GetRequest().GetHttp()
	if http == nil || http.GetMethod() == "" {
		return Request{}, errMalformed
	}
	h := http.GetHeaders()
	return Request{
		Kind: route.Kind, Owner: route.Owner, Server: route.Server, Prefix: route.Prefix, Logout: route.Logout,
		Method: http.GetMethod(), Path: http.GetPath(), Host: http.GetHost(),
		Cookie: h["cookie"], Accept: h["accept"], AcceptLanguage: h["accept-language"], Origin: h["origin"], Upgrade: h["upgrade"], Authorization: h["authorization"],
		FetchSite: h["sec-fetch-site"], FetchMode: h["sec-fetch-mode"], FetchDest: h["sec-fetch-dest"], RequestID: h[contract.HeaderRequestID],
		Client: attrs.GetSource().GetAddress().GetSocketAddress().GetAddress(),
	}, nil
}

var errNoRoute = errors.New("the check request does not say which route it is about")

// routeOf is the route that Envoy picked, as Envoy named it in the call's metadata. An Envoy
// of another version, which says nothing or something else, gets an error and so nobody in.
func routeOf(ctx context.Context) (contract.Route, error) {
	names := metadata.ValueFromIncomingContext(ctx, contract.MetadataRoute)
	if len(names) != 1 {
		return contract.Route{}, errNoRoute
	}
	return contract.ParseRoute(names[0])
}
