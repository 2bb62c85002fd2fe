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
// many does no harm. To let a user in, use One.
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

// WithPrefix returns the cookies of a Cookie header whose names begin with prefix, by name. Of
// two with one name the first counts.
func WithPrefix(header, prefix string) map[string]string {
	found := map[string]string{}
	for pair := range strings.SplitSeq(header, ";") {
		name := cookieName(pair)
		if _, seen := found[name]; seen || !strings.HasPrefix(name, prefix) {
			continue
		}
		_, v, _ := strings.Cut(pair, "=")
		found[name] = strings.Trim(v, " \t")
	}
	return found
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return strings.Trim(name, " \t")
}

// Jar says how one installation's cookies look. All are HttpOnly and SameSite=Lax and
// have no Domain.
type Jar struct {
	// Secure must be true whenever the public URL is https.
	Secure bool
	// PerUser: the hub and each person's servers have hosts of their own.
	PerUser bool
}

// Name is the name in browsers of the cookie that package contract calls name. With
// hosts that only one side answers, no path is needed to keep pods from it, and "__Host-"
// keeps other hosts' pages from planting one (RFC 6265bis §4.1.3.2).
func (j Jar) Name(name string) string {
	if j.hostOnly() {
		return "__Host-" + name
	}
	return name
}

// Browsers take "__Host-" over https only.
func (j Jar) hostOnly() bool { return j.Secure && j.PerUser }

// Set is the Set-Cookie value for one of our cookies. Without Max-Age it ends with the
// browser; the value itself carries the real end.
func (j Jar) Set(name, value, path string) string {
	c := j.attributes(name, path)
	c.Value = value
	return c.String()
}

// Keep is Set for a cookie that outlives the browser, for lifetime.
func (j Jar) Keep(name, value, path string, lifetime time.Duration) string {
	c := j.attributes(name, path)
	c.Value, c.MaxAge = value, int(lifetime.Seconds())
	return c.String()
}

// Delete is the Set-Cookie value that removes a cookie of Set's: a browser ignores a
// deletion whose attributes differ (CVE-2025-55162).
func (j Jar) Delete(name, path string) string {
	c := j.attributes(name, path)
	c.MaxAge = -1
	return c.String()
}

func (j Jar) attributes(name, path string) *http.Cookie {
	if j.hostOnly() {
		path = "/"
	}
	return &http.Cookie{Name: j.Name(name), Path: path, Secure: j.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
