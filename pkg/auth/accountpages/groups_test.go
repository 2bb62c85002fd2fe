package accountpages

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/auth/account"
	"github.com/perijove/perijove/pkg/auth/identity"
	"github.com/perijove/perijove/pkg/auth/liveness"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/paging"
)

// member logs a user in whose groups the directory names.
func (e env) member(t *testing.T, user string, groups ...string) {
	t.Helper()
	_, err := e.keeper.LogIn(t.Context(), liveness.Login{
		User: access.User{Name: user, Groups: groups}, Links: []identity.Link{identity.Named(user)},
		Session: account.Session{ID: "of-" + user, Method: "ldap", Since: now(), Expires: now().Add(1), LastSeen: now()},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func groupEnv(t *testing.T) env {
	t.Helper()
	s := newEnv(t)
	s.member(t, "bob", "physics", "R & D/x")
	s.member(t, "alice", "physics")
	s.member(t, "eve")
	return s
}

var root = as{user: "root", admin: true}

// TestGroups: administrators see the groups of those who have logged in, in JupyterHub's model.
func TestGroups(t *testing.T) {
	s := groupEnv(t)
	var all []apiGroupModel
	if w := s.do(root, "GET", "/hub/api/groups", nil); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &all) != nil || len(all) != 2 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if all[0].Name != "R & D/x" || all[1].Name != "physics" || strings.Join(all[1].Users, ",") != "alice,bob" || all[1].Kind != "group" || all[1].Roles == nil || all[1].Properties == nil {
		t.Errorf("%+v", all)
	}
	for path, want := range map[string]string{"physics": `"users":["alice","bob"]`, "R%20&%20D%2Fx": `"users":["bob"]`} {
		if w := s.do(root, "GET", "/hub/api/groups/"+path, nil); w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"nothing", "Physics", "%00", strings.Repeat("x", 4000)} {
		if w := s.do(root, "GET", "/hub/api/groups/"+path, nil); w.Code != 404 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%.20s: %d %s", path, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "/hub/api/groups?limit=1", nil)
	r.Header.Set("Accept", paging.MediaType)
	r.Header.Set(contract.HeaderUser, "root")
	r.Header.Set(contract.HeaderAdmin, "true")
	w := httptest.NewRecorder()
	if s.mux.ServeHTTP(w, r); !strings.Contains(w.Body.String(), `"total":2`) || !strings.Contains(w.Body.String(), `groups?limit=1\u0026offset=1"`) {
		t.Errorf("a page: %s", w.Body)
	}
	if w := s.do(root, "GET", "/hub/api/groups?offset=-1", nil); w.Code != 400 || !strings.Contains(w.Body.String(), "offset") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestS12_GroupsAreForAdministrators: nobody else learns who is in which group, and a token needs the
// scope.
func TestS12_GroupsAreForAdministrators(t *testing.T) {
	s := groupEnv(t)
	for _, c := range []struct {
		who       as
		list, one int
	}{
		{root, 200, 200}, {as{user: "alice"}, 403, 403}, {as{}, 401, 401},
		{as{user: "root", admin: true, scopes: []string{"list:groups"}}, 200, 200},
		{as{user: "root", admin: true, scopes: []string{"read:groups"}}, 403, 200},
		{as{user: "root", admin: true, scopes: []string{"inherit"}}, 200, 200},
		{as{user: "root", admin: true, scopes: []string{"self", "list:users", "admin:servers"}}, 403, 403},
		{as{user: "alice", scopes: []string{"list:groups", "inherit"}}, 403, 403}, // once an administrator
	} {
		list, one := s.do(c.who, "GET", "/hub/api/groups", nil), s.do(c.who, "GET", "/hub/api/groups/physics", nil)
		if list.Code != c.list || one.Code != c.one || list.Code != 200 && strings.Contains(list.Body.String()+one.Body.String(), "bob") && one.Code != 200 {
			t.Errorf("%+v: %d and %d, want %d and %d", c.who, list.Code, one.Code, c.list, c.one)
		}
	}
}

// TestGroupsAreChangedElsewhere: administrators get the reason, others a refusal. A method that a path
// has not is said to be that.
func TestGroupsAreChangedElsewhere(t *testing.T) {
	s := groupEnv(t)
	for _, request := range []string{
		"POST /hub/api/groups", "POST /hub/api/groups/new", "DELETE /hub/api/groups/physics", "POST /hub/api/groups/physics/users",
		"DELETE /hub/api/groups/physics/users", "PUT /hub/api/groups/physics/properties",
	} {
		method, path, _ := strings.Cut(request, " ")
		s.log.Reset()
		if w := s.do(root, method, path, `{"users":["eve"]}`); w.Code != 403 || !strings.Contains(w.Body.String(), "directory") || strings.Contains(s.log.String(), "access refused") {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
		if w := s.do(as{user: "alice"}, method, path, `{}`); w.Code != 403 || strings.Contains(w.Body.String(), "directory") {
			t.Errorf("%s by alice: %d %s", request, w.Code, w.Body)
		}
	}
	if w := s.do(root, "PATCH", "/hub/api/groups", `{}`); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, POST" || !json.Valid(w.Body.Bytes()) {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}
