package login

import (
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/test/logs"
)

// TestL9_AReusedNameIsTold: the directory gives alice's name to another person, whose password
// is right. The user is told what to do, the administrator whom the name is kept for.
func TestL9_AReusedNameIsTold(t *testing.T) {
	t.Parallel()
	s := newEnv(t)
	s.entry = "first-"
	if res := s.browser(t).post("alice", "alice-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Fatalf("the first alice: %d", res.StatusCode)
	}
	s.entry = "second-"
	b := s.browser(t)
	res := b.post("alice", "alice-password", "/user/alice/lab", nil)
	page := body(t, res)
	if _, in := b.session(); in || res.StatusCode != http.StatusForbidden {
		t.Errorf("%d, logged in: %v", res.StatusCode, in)
	}
	for _, want := range []string{"belongs to another person here", "ask your administrator"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Contains(page, "first-") || strings.Contains(page, "second-") {
		t.Error("the page shows an id")
	}
	logs.Audited(t, s.log.String(), telemetry.LoginFailed)
	for _, want := range []string{`"result":"reused"`, `"issuer":"ldap:entryuuid"`, `"subject":"second-alice"`, "kept for ldap:entryuuid first-alice"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if n := testutil.ToFloat64(s.logins.WithLabelValues("ldap", "reused")); n != 1 {
		t.Errorf("%v logins are counted as reused", n)
	}
	// The password was right: it is no guess. And the first one goes on.
	s.entry = "first-"
	if res := s.browser(t).post("alice", "alice-password", "", nil); res.StatusCode != http.StatusSeeOther {
		t.Errorf("the first alice again: %d", res.StatusCode)
	}
}
