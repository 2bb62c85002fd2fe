package cookies

import (
	"errors"
	"net/http"
	"strings"
	"time"
)

// How reading a cookie fails.
var (
	// ErrAbsent: there is no cookie of that name.
	ErrAbsent = errors.New("no such cookie")
	// ErrDuplicate: there are several, and nothing tells ours from one that a page on
	// a user's server planted with another path (cookie tossing, CVE-2024-28233).
	ErrDuplicate = errors.New("more than one cookie of this name")
)

// One returns the value of the only cookie called name in a Cookie header (RFC 6265
// §4.2.1); several cookies of that name are an error even when they are equal.
func One(header, name string) (string, error) {
	switch values := All(header, name); len(values) {
	case 0:
		return "", ErrAbsent
	case 1:
		return values[0], nil
	}
	return "", ErrDuplicate
}

// All returns the value of every cookie called name: for ending sessions, where one too
// many does no harm. To let somebody in, use One.
func All(header, name string) []string {
	var values []string
	for pair := range strings.SplitSeq(header, ";") {
		if cookieName(pair) == name {
			_, v, _ := strings.Cut(pair, "=")
			values = append(values, strings.Trim(v, " \t"))
		}
	}
	return values
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.Trim(name, " \t")
}

// Set is the Set-Cookie value for one of our cookies: HttpOnly, SameSite=Lax, no
// Domain, and without Max-Age, so that it ends with the browser (the value itself
// carries the real end). secure must be true whenever the public URL is https.
//
// The path is not "/", therefore no "__Host-" name: pods must not see the session, and
// the browser keeps it from them by the path.
func Set(name, value, path string, secure bool) string {
	c := attributes(name, path, secure)
	c.Value = value
	return c.String()
}

// Keep is Set for a cookie that outlives the browser, for lifetime.
func Keep(name, value, path string, lifetime time.Duration, secure bool) string {
	c := attributes(name, path, secure)
	c.Value, c.MaxAge = value, int(lifetime.Seconds())
	return c.String()
}

// Delete is the Set-Cookie value that removes what Set set: a browser ignores a
// deletion whose attributes differ (CVE-2025-55162).
func Delete(name, path string, secure bool) string {
	c := attributes(name, path, secure)
	c.MaxAge = -1
	return c.String()
}

func attributes(name, path string, secure bool) *http.Cookie {
	return &http.Cookie{Name: name, Path: path, Secure: secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
