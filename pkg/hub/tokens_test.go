package hub

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/caller"
)

// TestEveryEndpointHasItsHandler: the table of endpoints and the handlers name the same
// operations, and no page hides below the API, where no scope would guard it (S12).
func TestEveryEndpointHasItsHandler(t *testing.T) {
	t.Parallel()
	h := &Hub{}
	named := map[string]bool{}
	for _, e := range contract.EndpointsOf(contract.UpstreamHub) {
		named[e.Operation] = true
		if h.operations()[e.Operation] == nil {
			t.Errorf("%s (%s) has no handler", e.Pattern(), e.Operation)
		}
	}
	for operation := range h.operations() {
		if !named[operation] {
			t.Errorf("%s has no path", operation)
		}
	}
	for pattern := range h.pages() {
		if strings.Contains(pattern, contract.PathAPI) {
			t.Errorf("%s is below the API and not in its table", pattern)
		}
	}
}

// TestS12_TokenRequestsNeedNoFormToken: a script has no page to take it from. Whoever
// has neither is still refused.
func TestS12_TokenRequestsNeedNoFormToken(t *testing.T) {
	t.Parallel()
	for byToken, want := range map[bool]error{true: nil, false: caller.ErrXSRF} {
		r := httptest.NewRequest(http.MethodPost, "/hub/api/users/alice/server", nil)
		r.Header.Set(contract.HeaderUser, "alice")
		if byToken {
			r.Header.Set(contract.HeaderScopes, "self")
		}
		v, err := caller.From(r.Header)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.CheckXSRF(r); got != want {
			t.Errorf("by token %v: %v", byToken, got)
		}
	}
}
