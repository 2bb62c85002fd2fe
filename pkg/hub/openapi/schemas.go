package openapi

func text() schema { return schema{"type": "string"} }

func flag() schema { return schema{"type": "boolean"} }

func when() schema { return schema{"type": "string", "format": "date-time"} }

func count() schema { return schema{"type": "integer"} }

func orNull(s schema) schema { return schema{"oneOf": []schema{s, {"type": "null"}}} }

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

func listOf(name string) schema { return schema{"type": "array", "items": ref(name)} }

// object is an object with these properties: key, schema, ….
func object(pairs ...any) schema {
	properties := map[string]schema{}
	for i := 0; i+1 < len(pairs); i += 2 {
		properties[pairs[i].(string)] = pairs[i+1].(schema)
	}
	return schema{"type": "object", "properties": properties}
}

// schemas are the models that operations share.
func schemas() map[string]schema {
	part := object("class", text(), "version", text())
	return map[string]schema{
		"Error": object("status", count(), "message", text()),
		"Info":  object("version", text(), "python", text(), "sys_executable", text(), "spawner", part, "authenticator", part),
		"User": object("kind", text(), "name", text(), "admin", flag(), "server", orNull(text()), "pending", orNull(text()),
			"last_activity", orNull(when()), "servers", schema{"type": "object", "additionalProperties": ref("Server")}),
		"UserPage": object("items", listOf("User"), "_pagination", object("offset", count(), "limit", count(), "total", count(),
			"next", orNull(object("offset", count(), "limit", count(), "url", text())))),
		"Server": object("name", text(), "ready", flag(), "stopped", flag(), "pending", orNull(text()), "url", text(), "progress_url", text(),
			"started", orNull(when()), "last_activity", orNull(when()), "published", flag(), "ends_at", when(), "notices", listOf("Notice")),
		"Notice":   object("id", text(), "text", text(), "time", when()),
		"Progress": object("progress", count(), "message", text(), "ready", flag(), "url", text(), "failed", flag()),
		"Token": object("user", text(), "id", text(), "kind", text(), "note", text(), "roles", schema{"type": "array", "items": text()},
			"scopes", schema{"type": "array", "items": text()}, "created", when(), "expires_at", when(), "last_activity", orNull(when()),
			"session_id", orNull(text()), "oauth_client", text(), "token", text()),
	}
}
