package accountpages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/run/telemetry"
	"github.com/perijove/perijove/pkg/server/trail"
	"github.com/perijove/perijove/test/logs"
)

// TestAccountPage: an administrator sees a person's sessions and tokens, ends them, and reads who
// did what.
func TestAccountPage(t *testing.T) {
	s := newEnv(t)
	for _, id := range []string{"one", "two", "three"} {
		s.login(t, "alice", id, false)
	}
	s.login(t, "carol", "c", true)
	carol := as{user: "carol", session: "c", admin: true}
	made := s.do(as{user: "alice", session: "one"}, "POST", "/hub/api/users/alice/tokens", `{"note":"laptop"}`)
	if made.Code != http.StatusCreated {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	page := s.do(carol, "GET", "/hub/sessions/alice", nil).Body.String()
	if strings.Count(page, "Firefox on Linux") != 3 || strings.Contains(page, "This browser") || !strings.Contains(page, "laptop") || !strings.Contains(page, `href="/hub/admin/users/alice"`) {
		t.Errorf("%s", page)
	}
	if tokenPattern.MatchString(page) {
		t.Error("S14: the page shows a token")
	}
	if w := s.do(carol, "POST", "/hub/sessions/alice/end", url.Values{"id": {"one"}}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/hub/sessions/alice" || !s.ended("one", "alice") || s.ended("two", "alice") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	// The ID of another person's session ends nothing.
	s.do(carol, "POST", "/hub/sessions/alice/end", url.Values{"id": {"c"}})
	id := s.keeper.Tokens("alice")[0].ID
	if w := s.do(carol, "POST", "/hub/sessions/alice/revoke", url.Values{"id": {id}}); w.Code != http.StatusSeeOther || len(s.keeper.Tokens("alice")) != 0 {
		t.Errorf("%d", w.Code)
	}
	if w := s.do(carol, "POST", "/hub/sessions/alice/end-all", url.Values{}); w.Code != http.StatusSeeOther || w.Header().Get("Clear-Site-Data") != "" || !s.ended("two", "alice") || s.ended("c", "carol") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	logs.Audited(t, s.log.String(), telemetry.SessionRevoked, telemetry.AllSessionsRevoked, telemetry.TokenRevoked)
	events, err := s.keeper.Trail(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		got = append(got, string(e.What)+" "+e.By)
	}
	want := "logged_in alice, logged_in alice, logged_in alice, token_made alice, session_ended carol, token_revoked carol, sessions_ended carol"
	if strings.Join(got, ", ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	page = s.do(carol, "GET", "/hub/sessions/alice", nil).Body.String()
	for _, e := range []string{"All sessions were ended", "API token revoked", "by carol"} {
		if !strings.Contains(page, e) {
			t.Errorf("the page does not tell %q", e)
		}
	}
}

// TestS13_AccountsAreForAdministrators: who is none gets nothing, whether or not there is such a
// person, and neither does any token.
func TestS13_AccountsAreForAdministrators(t *testing.T) {
	s := newEnv(t)
	s.login(t, "alice", "a", false)
	s.login(t, "bob", "b", false)
	s.login(t, "carol", "c", true)
	for name, who := range map[string]as{
		"another": {user: "bob", session: "b"}, "oneself": {user: "alice", session: "a"},
		"a token of an administrator": {user: "carol", admin: true, scopes: []string{"inherit"}},
	} {
		for _, user := range []string{"alice", "nobody"} {
			for _, path := range []string{"", "/end", "/end-all", "/revoke"} {
				method := http.MethodPost
				if path == "" {
					method = http.MethodGet
				}
				w := s.do(who, method, "/hub/sessions/"+user+path, url.Values{"id": {"a"}})
				if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "Firefox on Linux") {
					t.Errorf("%s: %s %s of %s: %d", name, method, path, user, w.Code)
				}
			}
		}
	}
	if s.ended("a", "alice") {
		t.Error("alice's session was ended")
	}
	carol := as{user: "carol", session: "c", admin: true}
	for _, path := range []string{"/hub/sessions/nobody", "/hub/sessions/%2e%2e", "/hub/sessions/" + strings.Repeat("a", 10_000)} {
		if w := s.do(carol, "GET", path, nil); w.Code != http.StatusNotFound {
			t.Errorf("%.40s: %d", path, w.Code)
		}
	}
	if w := s.do(carol, "GET", "/hub/sessions/alice", nil); w.Code != http.StatusOK {
		t.Errorf("negative control: %d", w.Code)
	}
}

// TestD9_TheTrailOfAnAccountIsBounded: an account keeps far below the size of a Secret.
func TestD9_TheTrailOfAnAccountIsBounded(t *testing.T) {
	s := newEnv(t)
	for range trail.Most + 3 {
		s.login(t, "alice", "again", false)
	}
	events, err := s.keeper.Trail(t.Context(), "alice")
	if err != nil || len(events) != trail.Most {
		t.Errorf("%d events, %v", len(events), err)
	}
}
