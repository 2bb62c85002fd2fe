package redirect

import (
	"net/url"
	"strings"
	"testing"
)

func TestSafeAccepts(t *testing.T) {
	for _, next := range []string{
		"/", "/hub/", "/hub/home", "/user/alice/", "/user/alice/lab", "/user/alice/lab/tree/a%20b.ipynb",
		"/user/alice/lab?reset&clone=x", "/hub/spawn/alice/demo?next=%2Fuser%2Falice%2F",
		"/user/alice@example.org/lab", "/user/%E5%BC%A0%E4%B8%89/", "/user/alice/files/100%25.txt",
		"/user/alice/x?u=https://example.org//y", "/user/alice/a:b", "/user/al.ice/..data", "/user/alice/...",
	} {
		if got, ok := Safe(next); !ok || got != next {
			t.Errorf("Safe(%q) = %q, %v; want it unchanged", next, got, ok)
		}
	}
}

// corpus makes the attacks on "next": every way known to us of starting a foreign
// origin, times every host, times every ending (security rows U1 to U3).
func corpus() []string {
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
		"/hub/\x00", "/hub/%00", "/hub/%7f", "/hub/?next=\\\\evil.test", "/hub/?a=b c", "/hub/%5c..%5c", "/hub/é", "/hub/#x", "/hub/%zz", "/"+strings.Repeat("a", maxLength))
}

func TestU1_U3_CorpusIsRefused(t *testing.T) {
	all := corpus()
	if len(all) < 300 {
		t.Fatalf("the corpus has only %d lines", len(all))
	}
	for _, next := range all {
		if got, ok := Safe(next); ok || got != "" {
			t.Errorf("Safe(%q) = %q, %v; want it refused", next, got, ok)
		}
	}
}

// TestU1_NegativeControl shows that the oracle of the fuzz test can see an attack:
// a guard that only looks at the first byte would let these through.
func TestU1_NegativeControl(t *testing.T) {
	for _, next := range []string{"//evil.test", "/\\evil.test", "/\t/evil.test", "/%2fevil.test", "/%5cevil.test", "/%252fevil.test"} {
		if !leaves(next) {
			t.Errorf("the oracle thinks that %q stays at home", next)
		}
	}
}

// leaves resolves a Location as the most lenient browser and proxy would: WHATWG's
// stripping of C0 bytes, backslash as slash, and up to three decodings.
func leaves(location string) bool {
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

func FuzzSafe(f *testing.F) {
	for _, next := range corpus()[:200] {
		f.Add(next)
	}
	f.Add("/user/alice/lab?x=y")
	f.Fuzz(func(t *testing.T, next string) {
		got, ok := Safe(next)
		if !ok {
			if got != "" {
				t.Fatalf("Safe(%q) refused, yet returned %q", next, got)
			}
			return
		}
		if got != next || leaves(got) || strings.ContainsAny(got, "\r\n\x00\t\\ ") {
			t.Fatalf("Safe(%q) = %q leaves our origin", next, got)
		}
		base := url.URL{Scheme: "https", Host: "hub.test", Path: "/hub/login"}
		if u, err := base.Parse(got); err != nil || u.Host != "hub.test" || u.Scheme != "https" {
			t.Fatalf("Safe(%q) resolves to %v, %v", next, u, err)
		}
	})
}
