package web

import (
	"encoding/json"
	"net/http"
)

// JSON answers a program. The answer is about one user, so browsers and proxies must not
// cache it.
func JSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client went away
}
