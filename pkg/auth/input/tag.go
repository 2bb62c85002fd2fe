package input

import (
	"encoding/json"
	"time"

	"github.com/perijove/perijove/pkg/auth/session"
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
}

// Tag names the session behind a websocket, for Envoy to repeat in each report.
func Tag(s session.Session) string {
	b, _ := json.Marshal(tag{s.ID, s.User.Name, s.Method, s.Since.UnixMilli(), s.Expires.Unix()}) // texts and numbers: never fails
	return string(b)
}

// open reads what Tag wrote.
func open(value string) (session.Session, bool) {
	var t tag
	if err := json.Unmarshal([]byte(value), &t); err != nil || t.ID == "" || t.User == "" {
		return session.Session{}, false
	}
	return session.Session{
		User: access.User{Name: t.User}, ID: t.ID, Method: t.Method, Since: time.UnixMilli(t.SinceMillis), Expires: time.Unix(t.Expires, 0),
	}, true
}
