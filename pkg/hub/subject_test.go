package hub

import (
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

// TestK4_AdministratorsStartWhatTheOwnerMayHave: with the owner's groups, not with their own.
func TestK4_AdministratorsStartWhatTheOwnerMayHave(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	about := func(subject string) []string { return append(root(), contract.HeaderSubject, subject) }
	if code, _, page := e.get("/hub/spawn/alice", about("alice physics")...); code != 200 || !strings.Contains(page, `value="gpu"`) {
		t.Errorf("the form for a physicist: %d %s", code, page)
	}
	if code, _, page := e.get("/hub/spawn/alice", about("alice")...); code != 200 || strings.Contains(page, `value="gpu"`) {
		t.Errorf("the form for somebody without groups: %d %s", code, page)
	}
	form := url.Values{"profile": {"gpu"}}
	if code, _, _ := e.post("/hub/spawn/alice", form, about("alice staff")...); code != 400 || len(e.cluster.Pods()) != 0 {
		t.Errorf("the start for somebody of another group: %d", code)
	}
	if code, _, body := e.post("/hub/spawn/alice", form, about("alice staff physics")...); code != 303 || e.image() != "example.org/gpu:1" {
		t.Errorf("the start for a physicist: %d %s", code, body)
	}
	if code, _, page := e.get("/hub/admin/users/alice", about("alice staff physics")...); code != 200 || !strings.Contains(page, ">physics<") {
		t.Errorf("the person's page: %d %s", code, page)
	}
}

// TestNobodyStartsForANameThatNobodyHas: by page and by REST; also where authz vouches for another
// name than the one in the path.
func TestNobodyStartsForANameThatNobodyHas(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for name, headers := range map[string][]string{"nobody": root(), "another": append(root(), contract.HeaderSubject, "bob physics")} {
		if code, _, page := e.get("/hub/spawn/alcie", headers...); code != 404 || !strings.Contains(page, "typing mistake") {
			t.Errorf("%s, form: %d %s", name, code, page)
		}
		if code, _, page := e.post("/hub/spawn/alcie", nil, headers...); code != 404 || !strings.Contains(page, "typing mistake") {
			t.Errorf("%s, start: %d %s", name, code, page)
		}
		if code, _, body := e.api("POST", "/hub/api/users/alcie/server", "", headers...); code != 404 || !strings.Contains(body, "nobody of that name") {
			t.Errorf("%s, REST: %d %s", name, code, body)
		}
		if code, _, page := e.get("/hub/admin/users/alcie", headers...); code != 200 || !strings.Contains(page, "has no account here") {
			t.Errorf("%s, page: %d %s", name, code, page)
		}
	}
	if len(e.cluster.Pods()) != 0 {
		t.Error("a pod was made")
	}
	// A user who is no administrator: the header is worth nothing.
	if code, _, _ := e.post("/hub/spawn/bob", nil, contract.HeaderSubject, "bob"); code != 403 {
		t.Errorf("alice starts for bob: %d", code)
	}
}
