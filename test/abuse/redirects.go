package abuse

import (
	"net/url"
	"strings"
)

// Redirects makes the attacks on "next": every way known to us of starting a foreign
// origin, times every host, times every ending (security rows U1 to U3).
func Redirects() []string {
	starts := []string{
		"//", "///", "////", "/\\", "\\\\", "\\/", "/\\/", "//\\", "/\t/", "\t//", "/\n/", "/\r//", "\r\n//",
		"/ /", " //", "/%09/", "/%0a/", "/%0d/", "/%0d%0a/", "/%5c", "/%5C", "%2f%2f", "/%2f", "/%2F", "/%2f/", "/%252f", "/%25252f",
		"/%255c", "/./\\", "/.//", "/..//", "/%2e%2e//", "/%2e/%2f", "/x/..//", "/x/../..//", "/;//", "/..;//", "/%00/",
		"http:", "https:", "http:/", "https:/", "http://", "https://", "HtTpS://", "https:///", "https:\\\\", "javascript:", "data:text/html,",
		"vbscript:", "ftp://", "//user@", "@", "//@", "/\\@", "//hub.test@", "https://hub.test@", "https://hub.test:x@", "//hub.test.",
		"／／", "/／", "/\u2044", "/\u2215", "/\u00a0/", "\u2028//", "\ufeff//", "/\u200b/", "?//", "#//", "x//", "",
	}
	hosts := []string{"evil.test", "hub.test.evil", "badhub.test", "hub.test:8443", "%65vil.test", "[::1]", "1.2.3.4"}
	endings := []string{"", "/", "/hub/home", "/..%2f", "?next=/hub/", "#/hub/"}
	var all []string
	for _, s := range starts {
		for _, h := range hosts {
			for _, e := range endings {
				all = append(all, s+h+e)
			}
		}
	}
	return append(all, "", " ", "\x00", ".", "..", "/..", "/.", "/hub/..", "/hub/%2e%2e/", "/hub/.%2e/x", "/hub/..;/x", "/hub\x7f",
		"/hub/\x00", "/hub/%00", "/hub/%7f", "/hub/?next=\\\\evil.test", "/hub/?a=b c", "/hub/%5c..%5c", "/hub/é", "/hub/#x", "/hub/%zz")
}

// Leaves reports whether a Location leads away from the page's own origin. It resolves it as the most lenient browser and proxy would: WHATWG's
// stripping of C0 bytes, backslash as slash, and up to three decodings.
func Leaves(location string) bool {
	for range 4 {
		s := strings.TrimLeft(location, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\v\f\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
		s = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(s)
		if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
			return true
		}
		decoded, err := url.PathUnescape(location)
		if err != nil || decoded == location {
			return false
		}
		location = decoded
	}
	return false
}
