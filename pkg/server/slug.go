package server

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
)

// Slugs name Kubernetes objects. Two rules make them injective: a name that is safe already
// is its own slug, and never contains "--"; any other becomes prefix + "---" + 80 bits of hash
// (2^40 work for one collision by chance, 2^80 to hit a given name).
const (
	slugMax    = 24 // bytes of a name, or of a hashed slug's readable prefix
	slugHash   = 16 // base32 characters, 5 bits each
	slugMarker = "---"
	slugJoin   = "--"
)

// UserSlug returns a DNS-label-safe, injective form of a user name.
func UserSlug(user string) string { return slug(user) }

// Slug returns the same for a server: the user's slug, and for a named server
// "--" and the slug of its name. At most 92 bytes; object names allow 253.
func Slug(id ID) string {
	if id.Name == "" {
		return slug(id.User)
	}
	return slug(id.User) + slugJoin + slug(id.Name)
}

// LabelSlug returns a label value for a name: at most 63 bytes (Kubernetes limit).
func LabelSlug(name string) string { return slug(name) }

func slug(name string) string {
	if isSafe(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:slugHash]
	return readable(name) + slugMarker + hash
}

func isSafe(name string) bool {
	if len(name) == 0 || len(name) > slugMax || strings.Contains(name, slugJoin) {
		return false
	}
	for i := range len(name) {
		c := name[i]
		edge := i == 0 || i == len(name)-1
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' && !edge) {
			return false
		}
	}
	return true
}

// readable returns the letters and digits of an unsafe name, for an administrator to
// recognise.
func readable(name string) string {
	runs := regexp.MustCompile(`[a-z0-9]+`).FindAllString(strings.ToLower(name), -1)
	s := strings.Join(runs, "-")
	if len(s) > slugMax {
		s = s[:slugMax]
	}
	s = strings.Trim(s, "-")
	if s == "" {
		return "x"
	}
	return s
}
