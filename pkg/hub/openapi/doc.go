// Package openapi describes the REST API as an OpenAPI 3.1 document, made from
// contract.Endpoints.
//
// It says of each operation what it takes and what it answers. It decides nothing and answers no
// request: what an operation needs is in pkg/server/access, what it does in the handlers.
package openapi
