package openapi

import "github.com/perijove/perijove/pkg/contract"

// about is what an operation takes and answers. Every operation also answers 401 and 403.
type about struct {
	query   []parameter
	takes   schema // the JSON body; nil for none
	needs   bool   // the body must be there
	answers map[string]response
}

func answer(text string, s schema) response {
	return response{Description: text, Content: map[string]media{"application/json": {s}}}
}

func failure(text string) response { return answer(text, ref("Error")) }

// later is a failure that a program may try again.
func later(text string) response {
	r := failure(text)
	r.Headers = map[string]header{"Retry-After": {"seconds", schema{"type": "integer"}}}
	return r
}

func done(text string) response { return response{Description: text} }

// events is a stream of server-sent events, of which each has a model as JSON.
func events(name string) schema {
	return object("data", schema{"type": "string", "contentMediaType": "application/json", "contentSchema": ref(name)})
}

// to names the operations that an answer leads to.
func (r response) to(operations ...string) response {
	r.leads = operations
	return r
}

func query(name, text string, s schema) parameter {
	// An empty value is none.
	return parameter{Name: name, In: "query", Description: text, Schema: schema{"anyOf": []schema{s, {"const": ""}}}}
}

// operations describes every operation of contract.Endpoints.
func operations() map[string]about {
	all := map[string]about{}
	for _, part := range []map[string]about{platform(), users(), servers(), groups(), tokens()} {
		for name, a := range part {
			all[name] = a
		}
	}
	return all
}

// elsewhere is an operation that another system does: it is refused, and administrators get the reason.
func elsewhere(takes schema) about {
	return about{takes: takes, answers: map[string]response{"403": failure("always; administrators get the reason")}}
}

func platform() map[string]about {
	return map[string]about{
		contract.OpVersion:   {answers: map[string]response{"200": answer("the version", model(nil, "version", text()))}},
		contract.OpOpenAPI:   {answers: map[string]response{"200": answer("an OpenAPI 3.1 document", schema{"type": "object"})}},
		contract.OpInfo:      {answers: map[string]response{"200": answer("what runs", ref("Info"))}},
		contract.OpServices:  {answers: map[string]response{"200": answer("always empty", model(nil))}},
		contract.OpShutdown:  elsewhere(nil),
		contract.OpMoveProxy: elsewhere(nil),
		contract.OpProxy: {query: part(), answers: map[string]response{
			"200": answer("routes by their path", schema{"type": "object", "additionalProperties": ref("Route")}), "400": failure("the query cannot be"),
		}},
		contract.OpCheckProxy: {answers: map[string]response{
			"200": done("Envoy leads to every server that runs"), "503": later("it does not, or does not answer"),
		}},
	}
}

// part are the parameters of long lists.
func part() []parameter {
	number := func(least int) schema { return schema{"type": "integer", "minimum": least} }
	return []parameter{
		query("offset", "how many to leave out", number(0)),
		query("limit", "how many to show, at most 200", number(1)),
	}
}

// list answers a long list of a model.
func list(name string) map[string]response {
	return map[string]response{
		"200": answer("a list, or a page of it where Accept has application/jupyterhub-pagination+json",
			schema{"oneOf": []schema{listOf(name), pageOf(name)}}),
		"400": failure("the query cannot be"),
	}
}

func groups() map[string]about {
	return map[string]about{
		contract.OpGroups:      {query: part(), answers: list("Group")},
		contract.OpGroup:       {answers: map[string]response{"200": answer("the group", ref("Group")), "404": failure("no such group is known")}},
		contract.OpAddGroups:   elsewhere(nil),
		contract.OpAddGroup:    elsewhere(nil),
		contract.OpDeleteGroup: elsewhere(nil),
		contract.OpAddMembers:  elsewhere(object("users", texts())),
		contract.OpDropMembers: elsewhere(object("users", texts())),
		contract.OpProperties:  elsewhere(schema{"type": "object"}),
	}
}

func users() map[string]about {
	stopped := query("include_stopped_servers", "show also servers that are stopped", schema{"type": "boolean", "default": false})
	one := map[string]response{"200": answer("the user", ref("User")), "400": failure("the name or the query cannot be")}
	return map[string]about{
		contract.OpSelf: {query: []parameter{stopped}, answers: one},
		contract.OpUser: {query: []parameter{stopped}, answers: map[string]response{
			"200": one["200"], "400": one["400"], "404": failure("there is no such user"),
		}},
		contract.OpAddUsers:   elsewhere(object("usernames", schema{"type": "array", "items": text()}, "admin", flag())),
		contract.OpAddUser:    elsewhere(nil),
		contract.OpChangeUser: elsewhere(object("name", text(), "admin", flag())),
		contract.OpUsers: {
			query: append(part(),
				query("state", "only users with such servers", schema{"enum": []string{"active", "ready", "inactive"}}),
				query("sort", "the order; - reverses it", schema{"enum": []string{"id", "-id", "name", "-name", "last_activity", "-last_activity"}}),
				query("name_filter", "only users whose name has this in it", text()),
				stopped,
			),
			answers: list("User"),
		},
		contract.OpActivity: {
			needs: true,
			takes: schema{
				"type": "object", "minProperties": 1,
				"properties": map[string]schema{
					"last_activity": orNull(when()),
					"servers":       orNull(schema{"type": "object", "additionalProperties": orNull(object("last_activity", orNull(when())))}),
				},
			},
			answers: map[string]response{
				"200": done("noted"), "400": failure("the name or the body cannot be, a time is in the future, or there is no such server"),
				"409": failure("another program's pod has the server's name"), "503": later("the cluster does not answer"),
				"413": failure("the body is too large"), "415": failure("the body is not JSON"),
			},
		},
		contract.OpDeleteUser: {
			takes: orNull(object("remove_homes", orNull(schema{"type": "boolean", "description": "delete the home volumes with all files", "default": false}))),
			answers: map[string]response{
				"204": done("deleted"), "400": failure("the name or the body cannot be, or it is the caller's own"),
				"413": failure("the body is too large"), "415": failure("the body is not JSON"), "503": later("the cluster does not answer"),
			},
		},
	}
}

func servers() map[string]about {
	return map[string]about{
		contract.OpServer: {answers: map[string]response{
			"200": answer("the server", ref("Server")), "400": failure("the name cannot be"), "404": failure("there is no such server"),
			"409": failure("another program's pod has the server's name"), "503": later("the cluster does not answer"),
		}},
		contract.OpStart: {
			takes: orNull(schema{"type": "object", "description": "JupyterHub's user_options: profile and its choices; or an object with the keys user_options and display_name"}),
			answers: map[string]response{
				"202": done("it starts").to(contract.OpServer, contract.OpProgress, contract.OpStop), "400": failure("it runs already, or the name, the profile or a choice cannot be"),
				"403": failure("the caller may not do this, or a quota is used up"),
				"404": failure("nobody of that name has an account"), "409": failure("a pod that the platform did not start has its address"),
				"413": failure("the body is too large"), "415": failure("the body is not JSON"),
				"429": later("too many servers are starting"), "503": later("the cluster or the gateway does not take it"),
			},
		},
		contract.OpStop: {
			takes: orNull(object("remove", orNull(schema{"type": "boolean", "description": "forget the server's name, too", "default": false}))),
			answers: map[string]response{
				"202": done("it stops"), "204": done("it is stopped"), "400": failure("the name or the body cannot be"),
				"409": failure("the platform did not start it"), "413": failure("the body is too large"), "415": failure("the body is not JSON"),
				"503": later("the cluster does not answer"),
			},
		},
		contract.OpProgress: {answers: map[string]response{
			"200": {Description: "server-sent events, each a Progress as JSON", Content: map[string]media{"text/event-stream": {events("Progress")}}},
			"400": failure("it is not starting"), "429": later("the caller has too many streams open"), "503": later("the cluster does not answer"),
		}},
	}
}

func tokens() map[string]about {
	unknown := failure("there is no such token")
	unwritten := later("it could not be written")
	return map[string]about{
		contract.OpListTokens: {answers: map[string]response{"200": answer("the tokens", model(nil, "api_tokens", listOf("Token")))}},
		contract.OpMakeToken: {
			takes: object("note", orNull(text()), "expires_in", orNull(schema{"type": "integer", "minimum": 1, "maximum": 7776000}), "scopes", orNull(texts())),
			answers: map[string]response{
				"201": answer("the token, which is shown this once", ref("Token")).to(contract.OpToken, contract.OpRevokeToken), "400": failure("the body or a scope cannot be, or there are too many tokens"), "503": unwritten,
			},
		},
		contract.OpToken:       {answers: map[string]response{"200": answer("the token", ref("Token")), "404": unknown}},
		contract.OpRevokeToken: {answers: map[string]response{"204": done("revoked"), "404": unknown, "503": unwritten}},
		contract.OpEndSessions: {answers: map[string]response{"204": done("ended"), "404": failure("nobody of that name has logged in"), "503": unwritten}},
	}
}
