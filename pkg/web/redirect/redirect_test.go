package redirect

import (
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/test/abuse"
)

func TestSafeAccepts(t *testing.T) {
	for _, next := range []string{
		"/", "/hub/", "/hub/home", "/user/alice/", "/user/alice/lab", "/user/alice/lab/tree/a%20b.ipynb",
		"/user/alice/lab?reset&clone=x", "/hub/spawn/alice/demo?next=%2Fuser%2Falice%2F",
		"/user/alice@example.org/lab", "/user/%E5%BC%A0%E4%B8%89/", "/user/alice/files/100%25.txt",
		"/user/alice/x?u=https://example.org//y", "/user/alice/a:b", "/user/al.ice/..data", "/user/alice/...",
		"/" + strings.Repeat("a", maxLength-1),
	} {
		if got, ok := Safe(next); !ok || got != next {
			t.Errorf("Safe(%q) = %q, %v; want it unchanged", next, got, ok)
		}
	}
}

func TestU1_U3_CorpusIsRefused(t *testing.T) {
	all := append(abuse.Redirects(), "/"+strings.Repeat("a", maxLength))
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
		if !abuse.Leaves(next) {
			t.Errorf("the oracle thinks that %q stays at home", next)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, next := range abuse.Redirects()[:200] {
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
		if got != next || abuse.Leaves(got) || strings.ContainsAny(got, "\r\n\x00\t\\ ") {
			t.Fatalf("Safe(%q) = %q leaves our origin", next, got)
		}
		base := url.URL{Scheme: "https", Host: "hub.test", Path: "/hub/login"}
		if u, err := base.Parse(got); err != nil || u.Host != "hub.test" || u.Scheme != "https" {
			t.Fatalf("Safe(%q) resolves to %v, %v", next, u, err)
		}
	})
}
