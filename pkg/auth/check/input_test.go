package check

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/auth/input"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// Envoy reports about websockets of sessions, and is told whose they are; S4: by no header, which
// the pod would get.
func TestWebsocketsNameTheirSession(t *testing.T) {
	h := newEnv(t)
	alice, cookie := h.session(t, "alice")
	carol, _ := h.session(t, "carol")
	for name, c := range map[string]struct {
		req  Request
		want string
	}{
		"a websocket by pass":         {with(toServer("alice", h.pass(t, alice, "alice", now())), websocket), alice.ID},
		"a websocket by session":      {with(toServer("alice", cookie), websocket), alice.ID},
		"a visitor's websocket":       {with(toServer("alice", h.pass(t, carol, "alice", now())), websocket), carol.ID},
		"a page":                      {toServer("alice", cookie), ""},
		"a script's request":          {with(toServer("alice", cookie), post), ""},
		"a websocket by token":        {with(h.withToken(toServer("alice", ""), "alice", "self"), websocket), ""},
		"a websocket that is refused": {with(toServer("bob", cookie), websocket), ""},
	} {
		v := h.Decide(c.req, now())
		if (v.Input != "") != (c.want != "") || !strings.Contains(v.Input, c.want) {
			t.Errorf("%s: input is of %q, want %q", name, v.Input, c.want)
		}
		got := answer(c.req, v, pages(t)).GetDynamicMetadata().GetFields()[contract.MetadataSession].GetStringValue()
		if got != v.Input {
			t.Errorf("%s: Envoy is told %q", name, got)
		}
		for _, header := range v.Set {
			if strings.Contains(header.Value, alice.ID) || strings.Contains(header.Value, carol.ID) {
				t.Errorf("%s: the pod gets %s: %s", name, header.Name, header.Value)
			}
		}
	}
	if told := input.Tag(alice, server.ID{User: "alice"}); strings.Contains(told, strings.TrimPrefix(cookie, contract.CookieSession+"=")) {
		t.Errorf("S14: Envoy is told the cookie: %s", told)
	}
}
