package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

func TestPrefixIsWhatBrowsersSend(t *testing.T) {
	for _, c := range []struct {
		id   server.ID
		want string
	}{
		{server.ID{User: "alice"}, "/user/alice/"},
		{server.ID{User: "alice", Name: "demo"}, "/user/alice/demo/"},
		{server.ID{User: "alice@uni.example"}, "/user/alice@uni.example/"},
		{server.ID{User: "al ice"}, "/user/al%20ice/"},
		{server.ID{User: "张伟"}, "/user/%E5%BC%A0%E4%BC%9F/"},
		{server.ID{User: "50%"}, "/user/50%25/"},
		{server.ID{User: "a+b$c"}, "/user/a%2Bb%24c/"},
	} {
		if got := c.id.Prefix(); got != c.want {
			t.Errorf("Prefix(%v) = %q, want %q", c.id, got, c.want)
		}
	}
}

func TestNamesThatCannotBeOnePathSegmentAreRefused(t *testing.T) {
	for _, bad := range []string{
		"", ".", "..", ".hidden", "..;x", "a/b", `a\b`, "a;b", "a\x00", "a\n", "a\u2028b", "\xff", "a\tb",
		strings.Repeat("x", server.MaxName+1),
	} {
		if server.ValidUser(bad) == nil {
			t.Errorf("ValidUser(%q) = nil, want an error", bad)
		}
	}
	for _, good := range []string{"alice", "a.b", "O'Neil", "a b", "张伟", "a@b", "50%", "~x", "a--b", strings.Repeat("x", server.MaxName)} {
		if err := server.ValidUser(good); err != nil {
			t.Errorf("ValidUser(%q) = %v, want nil", good, err)
		}
	}
	if err := server.ValidServer(""); err != nil {
		t.Errorf("the default server's name is refused: %v", err)
	}
}

func TestSpellings(t *testing.T) {
	for name, want := range map[string][]string{
		"alice":  {"alice"},
		"a.b-c_": {"a.b-c_"},
		"a@b":    {"a@b", "a%40b"},
		"a+b":    {"a%2Bb", "a+b"},
		"a+b@c":  {"a%2Bb@c", "a+b@c", "a%2Bb%40c"},
		"a b":    {"a%20b"},
		"é":      {"%C3%A9"},
	} {
		if got := strings.Join(server.Spellings(name), " "); got != strings.Join(want, " ") {
			t.Errorf("Spellings(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestParsePath(t *testing.T) {
	for path, want := range map[string][2]string{
		"/user/alice":             {"alice", ""},
		"/user/alice/":            {"alice", ""},
		"/user/alice//lab":        {"alice", ""},
		"/user/alice/lab/tree/x":  {"alice", "lab"},
		"/user/al%20ice/demo/":    {"al ice", "demo"},
		"/user/a%40b/x/a%2Fb":     {"a@b", "x"},
		"/user/alice/lab?x=/hub/": {"alice", "lab?x="}, // callers pass a path, not a URL
	} {
		owner, next, err := server.ParsePath(path)
		if got := [2]string{owner, next}; err != nil || got != want {
			t.Errorf("ParsePath(%q) = %q, %v, want %q", path, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "/", "/hub/", "/user", "/user/", "/user//x", "/user/%zz/", "/user/../x", "/user/a%2Fb/", "/user/alice/%00", "/user/alice/lab/%", "/user/alice//%",
	} {
		if _, _, err := server.ParsePath(bad); err == nil {
			t.Errorf("ParsePath(%q) succeeded, want an error", bad)
		}
	}
}

func TestSlugs(t *testing.T) {
	for id, want := range map[server.ID]string{
		{User: "alice"}:               "alice",
		{User: "alice", Name: "demo"}: "alice--demo",
		{User: "a-b", Name: "c"}:      "a-b--c",
		{User: "a", Name: "b-c"}:      "a--b-c",
	} {
		if got := server.Slug(id); got != want {
			t.Errorf("Slug(%v) = %q, want %q", id, got, want)
		}
	}
	for _, unsafe := range []string{"Alice", "a--b", "-a", "a-", "a.b", "a@b", "张伟", strings.Repeat("a", 25)} {
		got := server.UserSlug(unsafe)
		if !strings.Contains(got, "---") || len(got) > 43 {
			t.Errorf("UserSlug(%q) = %q, want prefix---hash of at most 43 bytes", unsafe, got)
		}
	}
}

// K1, P11: two servers never share a pod, a claim or a route.
func TestK1_SlugsOfLookalikesDiffer(t *testing.T) {
	ids := []server.ID{
		{User: "a-b", Name: "c"}, {User: "a", Name: "b-c"}, {User: "a--b"}, {User: "a", Name: "b"},
		{User: "a--b", Name: "c"}, {User: "A"}, {User: "a"}, {User: "a", Name: "-b"}, {User: "a-", Name: "b"},
		{User: server.UserSlug("A")}, {User: server.Slug(server.ID{User: "a", Name: "b"})},
		{User: "a", Name: "B"}, {User: "ä"}, {User: "a "}, {User: "a", Name: server.UserSlug("B")},
	}
	seen := map[string]server.ID{}
	for _, id := range ids {
		slug := server.Slug(id)
		if other, ok := seen[slug]; ok && other != id {
			t.Errorf("%v and %v share the slug %q", id, other, slug)
		}
		seen[slug] = id
	}
}

func FuzzSlugsAndPrefixesAreInjective(f *testing.F) {
	f.Add("a-b", "c", "a", "b-c")
	f.Add("a--b", "", "a", "b")
	f.Add("a@b", "", "a%40b", "")
	f.Fuzz(func(t *testing.T, u1, s1, u2, s2 string) {
		a, b := server.ID{User: u1, Name: s1}, server.ID{User: u2, Name: s2}
		if a.Valid() != nil || b.Valid() != nil || a == b {
			return
		}
		if server.Slug(a) == server.Slug(b) {
			t.Errorf("%v and %v share the slug %q", a, b, server.Slug(a))
		}
		if a.Prefix() == b.Prefix() {
			t.Errorf("%v and %v share the prefix %q", a, b, a.Prefix())
		}
		if u1 == u2 {
			return
		}
		for _, x := range server.Spellings(u1) {
			for _, y := range server.Spellings(u2) {
				if x == y {
					t.Errorf("%q and %q share the spelling %q", u1, u2, x)
				}
			}
		}
	})
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/user/alice/lab", "/user/a%40b/", "/user/%2e%2e/x", "/user/a;b/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		owner, next, err := server.ParsePath(path)
		if err != nil {
			return
		}
		id := server.ID{User: owner, Name: next}
		if id.Valid() != nil {
			t.Errorf("ParsePath(%q) gave the invalid %v", path, id)
		}
		if o, n, err := server.ParsePath(id.Prefix()); err != nil || o != owner || n != next {
			t.Errorf("ParsePath(%q) = %q %q; its prefix %q is read as %q %q, %v", path, owner, next, id.Prefix(), o, n, err)
		}
		if strings.ContainsAny(url.PathEscape(owner), "/?#") {
			t.Errorf("owner %q escapes its segment", owner)
		}
	})
}
