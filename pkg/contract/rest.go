package contract

import (
	"regexp"
	"slices"
	"strings"
)

// Endpoint is one operation of the REST API under PathAPI.
type Endpoint struct {
	// Operation names it. The path of the default server and that of a named one are the same
	// operation.
	Operation string
	Method    string
	// Path is a pattern of net/http.ServeMux: {user}, {server}, {group} and {id} stand for one segment.
	Path string
	// Upstream is the service that answers.
	Upstream Upstream
	// Scope is the action that an API token's scopes must cover, in JupyterHub's words
	// (pkg/server/access); "" where no token is good.
	Scope string
	// Summary says in a few words what it does or shows, for the documents that are made from
	// the table.
	Summary string
}

// Operations of the REST API.
const (
	OpVersion     = "version"
	OpOpenAPI     = "openapi"
	OpInfo        = "info"
	OpSelf        = "self"
	OpUsers       = "users"
	OpGroups      = "groups"
	OpGroup       = "group"
	OpProxy       = "proxy"
	OpShutdown    = "shutdown"
	OpUser        = "user"
	OpDeleteUser  = "delete-user"
	OpActivity    = "activity"
	OpStart       = "start"
	OpStop        = "stop"
	OpProgress    = "progress"
	OpListTokens  = "list-tokens"
	OpMakeToken   = "make-token"
	OpToken       = "token"
	OpRevokeToken = "revoke-token"
	OpEndSessions = "end-sessions"
)

const (
	scopeVersion = "version"
	scopeHub     = "read:hub"
	scopeList    = "list:users"
	scopeUsers   = "read:users"
	scopeDelete  = "delete:users"
	scopeServers = "servers"
	scopeTokens  = "tokens"
	scopeNone    = ""

	pathUsers    = PathAPI + "/users"
	pathUser     = pathUsers + "/{user}"
	pathServer   = pathUser + "/server"
	pathNamed    = pathUser + "/servers/{server}"
	pathTokens   = pathUser + "/tokens"
	pathSessions = pathUser + "/sessions"
	progress     = "/progress"
)

// Endpoints is the REST API: JupyterHub's paths, as far as this platform has them. Envoy's
// routes, the scopes that tokens need, the services' handlers and the tests are made from
// this table. A path that is not here does not exist.
func Endpoints() []Endpoint {
	return []Endpoint{
		{OpVersion, "GET", PathAPI, UpstreamHub, scopeVersion, "which version of JupyterHub's API this is"},
		{OpVersion, "GET", PathAPI + "/{$}", UpstreamHub, scopeVersion, "which version of JupyterHub's API this is"},
		{OpInfo, "GET", PathAPI + "/info", UpstreamHub, scopeHub, "which versions run"},
		{OpOpenAPI, "GET", PathAPI + "/openapi.json", UpstreamHub, scopeVersion, "this API as an OpenAPI 3.1 document"},
		{OpSelf, "GET", PathAPI + "/user", UpstreamHub, scopeUsers, "the caller"},
		{OpUsers, "GET", pathUsers, UpstreamHub, scopeList, "all who have something here"},
		{OpUser, "GET", pathUser, UpstreamHub, scopeUsers, "a user and the user's servers"},
		{OpDeleteUser, "DELETE", pathUser, UpstreamHub, scopeDelete, "stop a user's servers and forget what the user had"},
		{OpActivity, "POST", pathUser + "/activity", UpstreamHub, scopeServers, "say that servers are in use"},
		{OpStart, "POST", pathServer, UpstreamHub, scopeServers, "start a server"},
		{OpStop, "DELETE", pathServer, UpstreamHub, scopeServers, "stop a server"},
		{OpProgress, "GET", pathServer + progress, UpstreamHub, scopeServers, "how far a start is, as an event stream"},
		{OpStart, "POST", pathNamed, UpstreamHub, scopeServers, "start a server"},
		{OpStop, "DELETE", pathNamed, UpstreamHub, scopeServers, "stop a server"},
		{OpProgress, "GET", pathNamed + progress, UpstreamHub, scopeServers, "how far a start is, as an event stream"},
		{OpGroups, "GET", PathAPI + "/groups", UpstreamHub, scopeHub, "refused: groups are the directory's"},
		{OpGroup, "GET", PathAPI + "/groups/{group}", UpstreamHub, scopeHub, "refused: groups are the directory's"},
		{OpProxy, "GET", PathAPI + "/proxy", UpstreamHub, scopeHub, "refused: routes are Envoy's"},
		{OpShutdown, "POST", PathAPI + "/shutdown", UpstreamHub, scopeHub, "refused"},
		{OpListTokens, "GET", pathTokens, UpstreamLogin, scopeTokens, "a user's API tokens"},
		{OpMakeToken, "POST", pathTokens, UpstreamLogin, scopeTokens, "make an API token of the caller's own"},
		{OpToken, "GET", pathTokens + "/{id}", UpstreamLogin, scopeTokens, "one API token"},
		{OpRevokeToken, "DELETE", pathTokens + "/{id}", UpstreamLogin, scopeTokens, "revoke an API token"},
		{OpEndSessions, "DELETE", pathSessions, UpstreamLogin, scopeNone, "end all sessions of a user"},
	}
}

// EndpointsOf returns the endpoints that one service answers.
func EndpointsOf(u Upstream) []Endpoint {
	return slices.DeleteFunc(Endpoints(), func(e Endpoint) bool { return e.Upstream != u })
}

// Pattern is the endpoint as net/http.ServeMux takes it.
func (e Endpoint) Pattern() string { return e.Method + " " + e.Path }

// AboutServer reports whether the endpoint is about one server and not about a whole user.
func (e Endpoint) AboutServer() bool {
	return strings.HasPrefix(e.Path, pathServer)
}

// PatternOwnAPI matches (RE2, the whole path) the part of the REST API that authz answers,
// since it keeps tokens and sessions. The spawner answers the rest.
func PatternOwnAPI() string {
	segment := regexp.MustCompile(`\{[a-z]+\}`)
	var paths []string
	for _, e := range EndpointsOf(UpstreamLogin) {
		paths = append(paths, segment.ReplaceAllString(e.Path, "[^/]+"))
	}
	slices.Sort(paths)
	return strings.Join(slices.Compact(paths), "|")
}
