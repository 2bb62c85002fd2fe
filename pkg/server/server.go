package server

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/perijove/perijove/pkg/contract"
)

// ID names one server: its owner and, for all but the default server, its own name.
// Both are raw names, as the directory or the user wrote them.
type ID struct {
	User string
	Name string
}

// Server is one published server: all that a route needs of a pod.
type Server struct {
	ID
	Namespace string
	Pod       string
	UID       string
	Addr      netip.AddrPort
	// Nonce is contract.AnnotationNonce; empty for pods that the spawner did not make.
	Nonce string
	// ProofName is the DNS name that the pod's certificate must have (contract.ProofName);
	// empty for pods that speak plain HTTP.
	ProofName   string
	StripPrefix bool
	// Created breaks ties: of two pods that claim one ID the oldest wins.
	Created time.Time
}

// ByPrecedence orders servers by ID. Of those that claim one ID the first is the one that is
// routed: the oldest.
func ByPrecedence(a, b Server) int {
	return cmp.Or(a.ID.Compare(b.ID), a.Created.Compare(b.Created), strings.Compare(a.Namespace+"/"+a.Pod, b.Namespace+"/"+b.Pod))
}

// MaxName bounds a user or server name in bytes. A name is a path segment in every
// request, a cookie path and, encoded, a scope key.
const MaxName = 255

// ValidUser reports why name cannot be a user name, or nil. It allows any printable UTF-8 that
// can be one path segment.
func ValidUser(name string) error {
	if err := validSegment(name); err != nil {
		return fmt.Errorf("user name %s", err)
	}
	return nil
}

// ValidServer reports why name cannot name a server, or nil. The empty name is the
// default server.
func ValidServer(name string) error {
	if name == "" {
		return nil
	}
	if err := validSegment(name); err != nil {
		return fmt.Errorf("server name %s", err)
	}
	return nil
}

func validSegment(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > MaxName:
		return fmt.Errorf("is longer than %d bytes", MaxName)
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case s == "." || s == "..":
		return errors.New("is a path step")
	case strings.HasPrefix(s, "."):
		// "..;x" and its kind are read as path steps by some servers (CVE-2026-73551).
		return errors.New("starts with a dot")
	case strings.ContainsAny(s, `/\;`):
		return errors.New(`contains one of / \ ;`)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || (unicode.IsSpace(r) && r != ' ') {
			return fmt.Errorf("contains the character %U", r)
		}
	}
	return nil
}

// Valid reports why id names no server, or nil.
func (id ID) Valid() error {
	return errors.Join(ValidUser(id.User), ValidServer(id.Name))
}

// Prefix is the path that the server answers under, with a slash at both ends:
// /user/alice/ or /user/alice/demo/. Segments are percent-encoded (RFC 3986) as
// browsers send them.
func (id ID) Prefix() string {
	p := contract.PathUser + canonical(id.User) + "/"
	if id.Name == "" {
		return p
	}
	return p + canonical(id.Name) + "/"
}

// String is the form used in logs and events: user/name, "alice/" for the default.
func (id ID) String() string { return id.User + "/" + id.Name }

// Compare orders IDs by user, then name.
func (id ID) Compare(other ID) int {
	return cmp.Or(strings.Compare(id.User, other.User), strings.Compare(id.Name, other.Name))
}

// Spellings returns the ways in which clients write s as one path segment: as Prefix does, as
// a browser sends it when a user types it (a+b), and with every reserved character escaped
// (alice%40x.org). Names of letters, digits, "-", "_", "." and "~" have one spelling. The first
// is Prefix's.
func Spellings(s string) []string {
	out := []string{canonical(s)}
	for _, other := range []string{url.PathEscape(s), escapeAll(s)} {
		if !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

// canonical escapes all but the unreserved characters and "@", as JupyterHub does.
// Applications put their base URL into regular expressions, where a bare "+" or "$"
// would never match.
func canonical(s string) string { return strings.ReplaceAll(escapeAll(s), "%40", "@") }

func escapeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isUnreserved(c) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '_' || c == '.' || c == '~'
}

// ParsePath reads the owner and the next segment of an escaped URL path below /user/. It is for
// the platform's own pages (/hub/user/…). It must not decide access: authz decides by the route
// that Envoy picked, so that no path is parsed twice.
//
// Both are unescaped; for /user/alice/ next is "". The caller finds out whether next names a
// server. An error means that the path is malformed or not below /user/.
func ParsePath(path string) (owner, next string, err error) {
	below, ok := strings.CutPrefix(path, contract.PathUser)
	if !ok {
		return "", "", fmt.Errorf("path is not below %s", contract.PathUser)
	}
	if _, err := url.PathUnescape(below); err != nil {
		return "", "", fmt.Errorf("path: %w", err)
	}
	first, tail, _ := strings.Cut(below, "/")
	if owner, err = url.PathUnescape(first); err != nil {
		return "", "", fmt.Errorf("owner in path: %w", err)
	}
	if err := ValidUser(owner); err != nil {
		return "", "", err
	}
	second, _, _ := strings.Cut(tail, "/")
	if next, err = url.PathUnescape(second); err != nil {
		return "", "", fmt.Errorf("server in path: %w", err)
	}
	if err := ValidServer(next); err != nil {
		return "", "", err
	}
	return owner, next, nil
}
