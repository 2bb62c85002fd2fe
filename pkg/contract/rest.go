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
}

// Operations of the REST API.
const (
	OpVersion     = "version"
	OpInfo        = "info"
	OpSelf        = "self"
	OpUsers       = "users"
	OpGroups      = "groups"
	OpGroup       = "group"
	OpProxy       = "proxy"
	OpShutdown    = "shutdown"
	OpUser        = "user"
	OpDeleteUser  = "delete-user"
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
		{OpVersion, "GET", PathAPI, UpstreamHub, scopeVersion},
		{OpVersion, "GET", PathAPI + "/{$}", UpstreamHub, scopeVersion},
		{OpInfo, "GET", PathAPI + "/info", UpstreamHub, scopeHub},
		{OpSelf, "GET", PathAPI + "/user", UpstreamHub, scopeUsers},
		{OpUsers, "GET", pathUsers, UpstreamHub, scopeList},
		{OpUser, "GET", pathUser, UpstreamHub, scopeUsers},
		{OpDeleteUser, "DELETE", pathUser, UpstreamHub, scopeDelete},
		{OpStart, "POST", pathServer, UpstreamHub, scopeServers},
		{OpStop, "DELETE", pathServer, UpstreamHub, scopeServers},
		{OpProgress, "GET", pathServer + progress, UpstreamHub, scopeServers},
		{OpStart, "POST", pathNamed, UpstreamHub, scopeServers},
		{OpStop, "DELETE", pathNamed, UpstreamHub, scopeServers},
		{OpProgress, "GET", pathNamed + progress, UpstreamHub, scopeServers},
		{OpGroups, "GET", PathAPI + "/groups", UpstreamHub, scopeHub},
		{OpGroup, "GET", PathAPI + "/groups/{group}", UpstreamHub, scopeHub},
		{OpProxy, "GET", PathAPI + "/proxy", UpstreamHub, scopeHub},
		{OpShutdown, "POST", PathAPI + "/shutdown", UpstreamHub, scopeHub},
		{OpListTokens, "GET", pathTokens, UpstreamLogin, scopeTokens},
		{OpMakeToken, "POST", pathTokens, UpstreamLogin, scopeTokens},
		{OpToken, "GET", pathTokens + "/{id}", UpstreamLogin, scopeTokens},
		{OpRevokeToken, "DELETE", pathTokens + "/{id}", UpstreamLogin, scopeTokens},
		{OpEndSessions, "DELETE", pathSessions, UpstreamLogin, scopeNone},
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
