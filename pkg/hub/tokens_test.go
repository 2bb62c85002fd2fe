package hub

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/auth/tokens"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/web/caller"
)

// TestS12_EveryPathOfTheAPIHasAScope: authz refuses tokens on paths that it does not
// know. A new path of the API must be judged there too, by the same pattern.
func TestS12_EveryPathOfTheAPIHasAScope(t *testing.T) {
	known := tokens.NewRules().Patterns()
	found := 0
	for pattern := range (&Hub{}).routes() {
		if !strings.Contains(pattern, " /hub/api") {
			continue
		}
		found++
		if !slices.Contains(known, pattern) {
			t.Errorf("%s has no scope", pattern)
		}
	}
	if found < 10 {
		t.Errorf("only %d paths: the check is blind", found)
	}
}

// TestS12_TokenRequestsNeedNoFormToken: a script has no page to take it from. Whoever
// has neither is still refused.
func TestS12_TokenRequestsNeedNoFormToken(t *testing.T) {
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
