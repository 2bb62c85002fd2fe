package check

import (
	"net/http"
	"slices"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/caller"
)

// TestH1_GroupsReachTheHubAndNoServer: the spawner gives servers by group, so the groups are
// those that the directory reported last, by session and by token. A request of a user
// without groups loses whatever stood under that name. Servers are not told.
func TestH1_GroupsReachTheHubAndNoServer(t *testing.T) {
	h := newEnv(t)
	groups := []string{"staff", "r & d", "研究"}
	h.now = map[string]access.User{"alice": {Name: "alice", Groups: groups}, "bob": {Name: "bob"}}
	hub := func(cookie string) Request {
		return Request{Kind: contract.KindHub, Method: "GET", Path: "/hub/home", Host: "hub.test", Cookie: cookie}
	}
	_, alice := h.session(t, "alice")
	_, bob := h.session(t, "bob")
	byToken := h.withToken(toAPI("GET", "/hub/api/user"), "alice", "self")
	h.tokens[byToken.Authorization[len("token "):]] = owned{h.now["alice"], h.tokens[byToken.Authorization[len("token "):]].token}
	for name, c := range map[string]struct {
		req  Request
		want []string
	}{
		"by session": {hub(alice), groups}, "by token": {byToken, groups}, "without groups": {hub(bob), nil},
	} {
		v := h.Decide(c.req, now())
		header := http.Header{}
		for _, set := range v.Set {
			header.Set(set.Name, set.Value)
		}
		got, err := caller.From(header)
		if err != nil || !v.Allow || !slices.Equal(got.Groups, c.want) {
			t.Errorf("%s: %+v %v, want the groups %q", name, got, err, c.want)
		}
		if removed := slices.Contains(v.Remove, contract.HeaderGroups); removed != (c.want == nil) {
			t.Errorf("%s: the header is removed: %v", name, removed)
		}
	}
	for _, set := range h.Decide(toServer("alice", alice), now()).Set {
		if set.Name == contract.HeaderGroups {
			t.Errorf("alice's server is told her groups: %s", set.Value)
		}
	}
}
