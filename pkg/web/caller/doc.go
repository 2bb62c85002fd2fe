// Package caller reads who sent a request to one of the platform's own pages, as authz
// vouched for it in private headers, and judges whether a request that changes something
// came from one of our pages.
//
// It believes what it reads: only Envoy may reach the services that use it (mutual TLS or a
// Unix socket), and Envoy removes what clients send under these names. It decides nothing
// about servers, tokens or sessions.
package caller
