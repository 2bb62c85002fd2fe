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
	OpAddUsers    = "add-users"
	OpServices    = "services"
	OpProxy       = "proxy"
	OpCheckProxy  = "check-proxy"
	OpMoveProxy   = "move-proxy"
	OpShutdown    = "shutdown"
	OpUser        = "user"
	OpAddUser     = "add-user"
	OpChangeUser  = "change-user"
	OpDeleteUser  = "delete-user"
	OpActivity    = "activity"
	OpServer      = "server"
	OpStart       = "start"
	OpStop        = "stop"
	OpProgress    = "progress"
	OpGroups      = "groups"
	OpGroup       = "group"
	OpAddGroups   = "add-groups"
	OpAddGroup    = "add-group"
	OpDeleteGroup = "delete-group"
	OpAddMembers  = "add-members"
	OpDropMembers = "drop-members"
	OpProperties  = "group-properties"
	OpListTokens  = "list-tokens"
	OpMakeToken   = "make-token"
	OpToken       = "token"
	OpRevokeToken = "revoke-token"
	OpEndSessions = "end-sessions"
)

const (
	scopeVersion    = "version"
	scopeHub        = "read:hub"
	scopeProxy      = "proxy"
	scopeList       = "list:users"
	scopeUsers      = "read:users"
	scopeAdmin      = "admin:users"
	scopeDelete     = "delete:users"
	scopeActivity   = "users:activity"
	scopeRead       = "read:servers"
	scopeServers    = "servers"
	scopeStop       = "delete:servers"
	scopeListGroups = "list:groups"
	scopeGroups     = "read:groups"
	scopeTokens     = "tokens"
	scopeNone       = ""

	pathUsers    = PathAPI + "/users"
	pathUser     = pathUsers + "/{user}"
	pathServer   = pathUser + "/server"
	pathNamed    = pathUser + "/servers/{server}"
	pathTokens   = pathUser + "/tokens"
	pathSessions = pathUser + "/sessions"
	pathProxy    = PathAPI + "/proxy"
	pathGroups   = PathAPI + "/groups"
	pathGroup    = pathGroups + "/{group}"
	progress     = "/progress"
)

// Open reports whether anybody may ask, without a session or a token. Clients of JupyterHub's API,
// and its single-user servers when they start, ask for the version like that.
func (e Endpoint) Open() bool { return e.Operation == OpVersion }

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
		{OpAddUsers, "POST", pathUsers, UpstreamHub, scopeAdmin, "refused: users come with their first login"},
		{OpUser, "GET", pathUser, UpstreamHub, scopeUsers, "a user and the user's servers"},
		{OpAddUser, "POST", pathUser, UpstreamHub, scopeAdmin, "refused: users come with their first login"},
		{OpChangeUser, "PATCH", pathUser, UpstreamHub, scopeAdmin, "refused: names and rights are the directory's"},
		{OpDeleteUser, "DELETE", pathUser, UpstreamHub, scopeDelete, "stop a user's servers and forget what the user had"},
		{OpActivity, "POST", pathUser + "/activity", UpstreamHub, scopeActivity, "say that servers are in use"},
		{OpServer, "GET", pathServer, UpstreamHub, scopeRead, "a server"},
		{OpStart, "POST", pathServer, UpstreamHub, scopeServers, "start a server"},
		{OpStop, "DELETE", pathServer, UpstreamHub, scopeStop, "stop a server"},
		{OpProgress, "GET", pathServer + progress, UpstreamHub, scopeRead, "how far a start is, as an event stream"},
		{OpServer, "GET", pathNamed, UpstreamHub, scopeRead, "a server"},
		{OpStart, "POST", pathNamed, UpstreamHub, scopeServers, "start a server"},
		{OpStop, "DELETE", pathNamed, UpstreamHub, scopeStop, "stop a server"},
		{OpProgress, "GET", pathNamed + progress, UpstreamHub, scopeRead, "how far a start is, as an event stream"},
		{OpServices, "GET", PathAPI + "/services", UpstreamHub, scopeHub, "JupyterHub's services, of which there are none"},
		{OpProxy, "GET", pathProxy, UpstreamHub, scopeProxy, "where requests are led"},
		{OpCheckProxy, "POST", pathProxy, UpstreamHub, scopeProxy, "whether Envoy leads to every server that runs"},
		{OpMoveProxy, "PATCH", pathProxy, UpstreamHub, scopeProxy, "refused: Envoy finds its configuration by itself"},
		{OpShutdown, "POST", PathAPI + "/shutdown", UpstreamHub, scopeHub, "refused"},
		{OpGroups, "GET", pathGroups, UpstreamLogin, scopeListGroups, "the groups of those who have logged in"},
		{OpAddGroups, "POST", pathGroups, UpstreamLogin, scopeListGroups, "refused: groups are the directory's"},
		{OpGroup, "GET", pathGroup, UpstreamLogin, scopeGroups, "a group and its members who have logged in"},
		{OpAddGroup, "POST", pathGroup, UpstreamLogin, scopeGroups, "refused: groups are the directory's"},
		{OpDeleteGroup, "DELETE", pathGroup, UpstreamLogin, scopeGroups, "refused: groups are the directory's"},
		{OpAddMembers, "POST", pathGroup + "/users", UpstreamLogin, scopeGroups, "refused: groups are the directory's"},
		{OpDropMembers, "DELETE", pathGroup + "/users", UpstreamLogin, scopeGroups, "refused: groups are the directory's"},
		{OpProperties, "PUT", pathGroup + "/properties", UpstreamLogin, scopeGroups, "refused: groups have no properties"},
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
