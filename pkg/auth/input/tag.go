package input

import (
	"encoding/json"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// tag is a session as Envoy's metadata carries it. It is no credential: authz takes it from
// Envoy alone.
type tag struct {
	ID          string `json:"sid"`
	User        string `json:"sub"`
	Method      string `json:"amr,omitempty"`
	SinceMillis int64  `json:"since_ms"`
	Expires     int64  `json:"exp"`
	Owner       string `json:"owner"` // of the server
	Server      string `json:"server,omitempty"`
}

// Tag names the session behind a websocket and the server that it leads to, for Envoy to repeat in
// each report.
func Tag(s session.Session, to server.ID) string {
	b, _ := json.Marshal(tag{s.ID, s.User.Name, s.Method, s.Since.UnixMilli(), s.Expires.Unix(), to.User, to.Name}) // texts and numbers: never fails
	return string(b)
}

// open reads what Tag wrote.
func open(value string) (s session.Session, to server.ID, ok bool) {
	var t tag
	if err := json.Unmarshal([]byte(value), &t); err != nil || t.ID == "" || t.User == "" {
		return session.Session{}, server.ID{}, false
	}
	return session.Session{
		User: access.User{Name: t.User}, ID: t.ID, Method: t.Method, Since: time.UnixMilli(t.SinceMillis), Expires: time.Unix(t.Expires, 0),
	}, server.ID{User: t.Owner, Name: t.Server}, true
}
