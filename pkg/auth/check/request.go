package check

import (
	"errors"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/perijove/perijove/pkg/contract"
)

// Request is what a decision may depend on.
type Request struct {
	// Kind, Owner, Server and Prefix come from the route (contract.Ext…).
	Kind, Owner, Server, Prefix string
	// Logout says that the server's page logout is ours (contract.ExtLogout).
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

// translate takes Envoy's message apart. Envoy gives header names in lower case.
func translate(check *authv3.CheckRequest) (Request, error) {
	attrs := check.GetAttributes()
	http := attrs.GetRequest().GetHttp()
	if http == nil || http.GetMethod() == "" {
		return Request{}, errMalformed
	}
	ext, h := attrs.GetContextExtensions(), http.GetHeaders()
	return Request{
		Kind: ext[contract.ExtKind], Owner: ext[contract.ExtOwner], Server: ext[contract.ExtServer], Prefix: ext[contract.ExtPrefix],
		Logout: ext[contract.ExtLogout] == "true",
		Method: http.GetMethod(), Path: http.GetPath(), Host: http.GetHost(),
		Cookie: h["cookie"], Accept: h["accept"], AcceptLanguage: h["accept-language"], Origin: h["origin"], Upgrade: h["upgrade"], Authorization: h["authorization"],
		FetchSite: h["sec-fetch-site"], FetchMode: h["sec-fetch-mode"], FetchDest: h["sec-fetch-dest"], RequestID: h[contract.HeaderRequestID],
		Client: attrs.GetSource().GetAddress().GetSocketAddress().GetAddress(),
	}, nil
}
