package check

import (
	"net/http"
	"slices"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/caller"
)

// TestK4_SubjectIsToldToAdministrators: whom a request is about, with that person's groups, on the
// paths that need them, and to administrators only.
func TestK4_SubjectIsToldToAdministrators(t *testing.T) {
	h := newEnv(t)
	zoe := access.User{Name: "zoë b", Groups: []string{"r & d", "staff"}}
	h.known = map[string]access.User{"alice": {Name: "alice"}, "zoë b": zoe, "carol": {Name: "carol"}, "bob": {Name: "bob"}}
	_, carol := h.session(t, "carol")
	_, bob := h.session(t, "bob")
	hub := func(cookie, method, path string) Request {
		return Request{Kind: contract.KindHub, Method: method, Path: path, Host: "hub.test", Cookie: cookie, Origin: "https://hub.test"}
	}
	byToken := func(owner string, scopes ...string) Request {
		return h.withToken(toAPI("POST", "/hub/api/users/alice/server"), owner, scopes...)
	}
	for name, c := range map[string]struct {
		req  Request
		want access.User
	}{
		"the form":               {hub(carol, "GET", "/hub/spawn/zo%C3%AB%20b?next=/user/alice/"), zoe},
		"the start":              {hub(carol, "POST", "/hub/spawn/zo%C3%AB%20b/demo"), zoe},
		"progress":               {hub(carol, "GET", "/hub/spawn-pending/alice"), h.known["alice"]},
		"REST":                   {hub(carol, "POST", "/hub/api/users/alice/server"), h.known["alice"]},
		"REST, named":            {hub(carol, "POST", "/hub/api/users/alice/servers/x"), h.known["alice"]},
		"REST, a token":          {byToken("carol", "admin:servers"), h.known["alice"]},
		"the person's page":      {hub(carol, "GET", "/hub/admin/users/alice"), h.known["alice"]},
		"a page of a server":     {hub(carol, "GET", "/hub/user/alice/lab/tree/a%2fb"), h.known["alice"]},
		"about oneself":          {hub(carol, "GET", "/hub/spawn/carol"), access.User{}},
		"a name that nobody has": {hub(carol, "POST", "/hub/spawn/alcie"), access.User{}},
		"another page":           {hub(carol, "GET", "/hub/home"), access.User{}},
		"a page that is not":     {hub(carol, "GET", "/hub/spawn/../spawn/alice"), access.User{}},
		"no administrator":       {hub(bob, "GET", "/hub/spawn/alice"), access.User{}},
		"no administrator, own":  {hub(bob, "GET", "/hub/spawn/bob"), access.User{}},
	} {
		v := h.Decide(c.req, now())
		header := http.Header{}
		for _, set := range v.Set {
			header.Add(set.Name, set.Value)
		}
		who, err := caller.From(header)
		if !v.Allow || err != nil || who.Subject.Name != c.want.Name || !slices.Equal(who.Subject.Groups, c.want.Groups) {
			t.Errorf("%s: %+v %v, want %+v", name, who.Subject, err, c.want)
		}
		if removed := slices.Contains(v.Remove, contract.HeaderSubject); removed != (c.want.Name == "") {
			t.Errorf("%s: the header is removed: %v", name, removed)
		}
	}
	// A server learns nothing about others.
	for _, set := range h.Decide(with(toServer("alice", carol), func(r *Request) { r.Path = "/user/alice/hub/spawn/alice" }), now()).Set {
		if set.Name == contract.HeaderSubject {
			t.Errorf("a server is told %s", set.Value)
		}
	}
}
