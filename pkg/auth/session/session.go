package session

import (
	"crypto/rand"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/perijove/perijove/pkg/server/access"
)

// maxDisplayName bounds the display name in a cookie, in bytes. Together with the
// limit on user names it keeps the cookie under MaxCookie.
const maxDisplayName = 96

// Session is one login of one person in one browser.
type Session struct {
	// User is who logged in. Groups are not kept: a cookie must stay small, and
	// nothing after the login decides by them.
	User access.User
	// ID is 128 random bits, base64url. Revocation names sessions by it.
	ID string
	// Since is when the person logged in, to the millisecond.
	Since time.Time
	// Expires is when the session ends at the latest, to the second.
	Expires time.Time
	// Method says how the person logged in: "ldap".
	Method string

	// keyID is the key that sealed it; form tokens are made with the same key, so that
	// adding a key does not invalidate the forms of sessions that live on.
	keyID string
}

// New makes the session of a login that just succeeded. Every login gets a new ID: a
// value that was known before the login is worth nothing after it (S1).
func New(user access.User, method string, now time.Time, lifetime time.Duration) Session {
	return Session{
		User:    access.User{Name: user.Name, DisplayName: shorten(user.DisplayName, maxDisplayName), Admin: user.Admin},
		ID:      RandomID(),
		Since:   now.Truncate(time.Millisecond),
		Expires: now.Add(lifetime).Truncate(time.Second),
		Method:  method,
	}
}

// RandomID returns 128 random bits as 22 characters of base64url.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// shorten cuts s to at most limit bytes without cutting a character in two.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
