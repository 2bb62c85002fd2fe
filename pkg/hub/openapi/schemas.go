package openapi

import "slices"

func text() schema { return schema{"type": "string"} }

func flag() schema { return schema{"type": "boolean"} }

func when() schema { return schema{"type": "string", "format": "date-time"} }

func count() schema { return schema{"type": "integer"} }

func orNull(s schema) schema { return schema{"oneOf": []schema{s, {"type": "null"}}} }

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

func listOf(name string) schema { return schema{"type": "array", "items": ref(name)} }

// model is an object that is answered: with all of these properties, but for the optional ones.
func model(optional []string, pairs ...any) schema {
	m := object(pairs...)
	var required []string
	for key := range m["properties"].(map[string]schema) {
		if !slices.Contains(optional, key) {
			required = append(required, key)
		}
	}
	slices.Sort(required)
	m["required"], m["additionalProperties"] = required, false
	return m
}

// object is an object with these properties: key, schema, ….
func object(pairs ...any) schema {
	properties := map[string]schema{}
	for i := 0; i+1 < len(pairs); i += 2 {
		properties[pairs[i].(string)] = pairs[i+1].(schema)
	}
	return schema{"type": "object", "properties": properties}
}

func texts() schema { return schema{"type": "array", "items": text()} }

// pageOf is a part of a list of a model.
func pageOf(name string) schema {
	next := model(nil, "offset", count(), "limit", count(), "url", text())
	return model(nil, "items", listOf(name), "_pagination", model(nil, "offset", count(), "limit", count(), "total", count(), "next", orNull(next)))
}

// schemas are the models that operations share.
func schemas() map[string]schema {
	part := model(nil, "class", text(), "version", text())
	return map[string]schema{
		// Envoy's own refusals have the id of the request, too.
		"Error": model([]string{"request_id"}, "status", count(), "message", text(), "request_id", orNull(text())),
		"Info":  model(nil, "version", text(), "python", text(), "sys_executable", text(), "spawner", part, "authenticator", part),
		"User": model([]string{"admin", "groups", "roles", "scopes"}, "kind", text(), "name", text(), "admin", flag(), "groups", texts(), "roles", texts(), "scopes", texts(),
			"server", orNull(text()), "pending", orNull(text()), "created", orNull(when()),
			"last_activity", orNull(when()), "servers", schema{"type": "object", "additionalProperties": ref("Server")}),
		"Server": model([]string{"ends_at", "warning"}, "name", text(), "ready", flag(), "stopped", flag(), "pending", orNull(text()),
			"url", text(), "full_url", text(), "progress_url", text(), "full_progress_url", text(),
			"started", orNull(when()), "last_activity", orNull(when()), "user_options", schema{"type": "object"}, "display_name", text(),
			"published", flag(), "ends_at", when(), "warning", ref("Warning"), "notices", listOf("Notice")),
		"Warning":  model(nil, "id", text(), "text", text(), "time", when(), "keep", text()),
		"Notice":   model(nil, "id", text(), "text", text(), "time", when()),
		"Progress": model([]string{"ready", "url", "failed"}, "progress", count(), "message", text(), "ready", flag(), "url", text(), "failed", flag()),
		"Group":    model(nil, "kind", text(), "name", text(), "users", texts(), "roles", texts(), "properties", schema{"type": "object"}),
		"Route":    model(nil, "routespec", text(), "target", text(), "data", model(nil, "user", text(), "server_name", text())),
		"Token": model([]string{"token"}, "user", text(), "id", text(), "kind", text(), "note", text(), "roles", texts(),
			"scopes", texts(), "created", when(), "expires_at", when(), "last_activity", orNull(when()),
			"session_id", orNull(text()), "oauth_client", text(), "token", text()),
	}
}
