package check

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

// TestS12_TokensInTheAddress: clients of remote kernels put the API token into the query, with
// HTTP and websockets, as JupyterHub has it. The server never sees it.
func TestS12_TokensInTheAddress(t *testing.T) {
	h := newEnv(t)
	_, cookie := h.session(t, "alice")
	req := h.withToken(with(toServer("alice", ""), scripted), "alice", "self")
	token := strings.TrimPrefix(req.Authorization, "token ")
	for name, c := range map[string]struct {
		query  string
		change func(*Request)
		status int
		reason Reason
	}{
		"alone":                  {"token=" + token, scripted, 200, ReasonAllowed},
		"beside others":          {"a=1&token=" + token + "&b=2", scripted, 200, ReasonAllowed},
		"websocket":              {"token=" + token, func(r *Request) { scripted(r); r.Upgrade = "websocket" }, 200, ReasonAllowed},
		"a page of another site": {"token=" + token, func(r *Request) { scripted(r); r.Method, r.Origin = "POST", "https://evil.test" }, 403, ReasonCrossOrigin},
		"unknown":                {"token=hub_" + strings.Repeat("x", 43), scripted, 401, ReasonBadToken},
		"no cookie helps":        {"token=hub_x", func(r *Request) { r.Cookie = cookie }, 401, ReasonBadToken},
		"twice":                  {"token=" + token + "&token=" + token, scripted, 401, ReasonBadToken},
		"escaped name":           {"t%6fken=" + token, scripted, 401, ReasonBadToken},
		"escaped value":          {"token=%68ub_" + token[len("hub_"):], scripted, 401, ReasonBadToken},
		"another case":           {"Token=" + token, scripted, 401, ReasonBadToken},
		"beside a broken escape": {"a=%zz&token=" + token, scripted, 401, ReasonBadToken},
		"the application's own":  {"token=abc", func(r *Request) { r.Cookie = cookie }, 200, ReasonAllowed},
		"in another parameter":   {"note=" + token, func(r *Request) { r.Cookie = cookie }, 200, ReasonAllowed},
	} {
		r := toServer("alice", "")
		c.change(&r)
		r.Path = "/user/alice/api/kernels?" + c.query
		v := h.Decide(r, now())
		if v.Status != c.status || v.Reason != c.reason {
			t.Errorf("%s: %d %s", name, v.Status, v.Reason)
		}
		byToken := v.Allow && slices.ContainsFunc(v.Set, func(set Header) bool { return set.Name == contract.HeaderByToken })
		if removed := slices.Equal(answer(r, v, pages(t)).GetOkResponse().GetQueryParametersToRemove(), []string{contract.QueryToken}); removed != byToken {
			t.Errorf("%s: let in by the token: %v, taken out of the path: %v", name, byToken, removed)
		}
	}
	// The hub's pages take no token from an address: they are logged and kept in histories.
	r := toAPI(http.MethodGet, "/hub/api/user?token="+token)
	if v := h.Decide(r, now()); v.Allow {
		t.Error("the REST API takes a token from the address")
	}
}
