// Package check answers Envoy's question before every request: may it pass, as whom,
// or where should it go instead (ext_authz v3, gRPC).
//
// request.go turns Envoy's message into a Request, decide.go turns a Request into a Verdict
// without any protobuf, answer.go turns a Verdict into Envoy's message, server.go puts them
// behind gRPC. Beside decide.go stand the parts of a decision: caller.go finds the session
// behind a cookie, token.go the API token, fetch.go reads what the browser says about the
// origin, redirect.go says where a page goes instead.
//
// Whose server a request is for comes from the name of the route that Envoy picked
// (contract.Route), never from the path: an authorizer that parses paths sooner or
// later judges another path than the one that is proxied (CVE-2026-26205, CVE-2026-32811).
// The path is used for one thing only, to lead people back after their login. Nothing
// here waits: no directory, no Kubernetes API, no disk. What it does not understand it
// refuses.
package check
