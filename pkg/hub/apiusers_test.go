package hub

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/web/paging"
)

// carol is the administrator, in her session.
var carol = []string{contract.HeaderUser, "-", contract.HeaderUser, "carol", contract.HeaderAdmin, "true"}

// people lets three users have something here: ann has a published pod, bob a stopped server with a
// name, alice one that answers.
func people(t *testing.T) *env {
	t.Helper()
	e := newEnv(t)
	e.cluster.Put(memory.Labelled("rstudio", server.ID{User: "ann", Name: "rstudio"}, time.Now().Add(-time.Hour)))
	for _, id := range []server.ID{{User: "bob", Name: "kept"}, {User: "alice"}} {
		if err := e.cluster.Start(t.Context(), spawn.Request{ID: id, Owner: access.User{Name: id.User}}); err != nil {
			t.Fatal(err)
		}
	}
	if gone, err := e.cluster.Stop(t.Context(), server.ID{User: "bob", Name: "kept"}, time.Second); !gone || err != nil {
		t.Fatal(gone, err)
	}
	e.change("", memory.Answer)
	e.cluster.Tell(server.ID{User: "alice"}, time.Now().Add(-time.Minute), false)
	return e
}

func namesOf(users []apiUser) string {
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

func TestListOfUsers(t *testing.T) {
	t.Parallel()
	e := people(t)
	for query, want := range map[string]string{
		"":                                   "alice ann bob",
		"sort=name":                          "alice ann bob",
		"sort=-id":                           "bob ann alice",
		"sort=-last_activity":                "ann alice bob",
		"sort=last_activity":                 "bob alice ann",
		"state=active":                       "alice ann",
		"state=ready":                        "alice ann",
		"state=inactive":                     "bob",
		"name_filter=AN":                     "ann",
		"name_filter=nobody":                 "",
		"limit=1":                            "alice",
		"offset=1&limit=1":                   "ann",
		"offset=3":                           "",
		"offset=999999999999":                "",
		"limit=999999999999":                 "alice ann bob",
		"state=&sort=&offset=&limit=":        "alice ann bob",
		"sort=-name&limit=1&name_filter=o":   "bob",
		"offset=9223372036854775807&limit=2": "",
	} {
		code, _, body := e.get("/hub/api/users?"+query, carol...)
		var users []apiUser
		if err := json.Unmarshal([]byte(body), &users); err != nil || code != 200 || users == nil || namesOf(users) != want {
			t.Errorf("%s: %d %q, want %q: %v", query, code, namesOf(users), want, err)
		}
	}
}

func TestStoppedServersAreListedOnRequest(t *testing.T) {
	t.Parallel()
	e := people(t)
	for _, path := range []string{"/hub/api/users/bob", "/hub/api/users?name_filter=bob"} {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		for value, want := range map[string]bool{"": false, "=0": false, "=false": false, "=1": true, "=True": true, "=": true} {
			full := path
			if value != "" {
				full += sep + "include_stopped_servers" + value
			}
			_, _, body := e.get(full, carol...)
			const shown = `"name":"kept","ready":false,"stopped":true,"pending":null,"url":"/user/bob/kept/"`
			if strings.Contains(body, shown) != want || strings.Contains(body, `"started":null`) != want {
				t.Errorf("%s: %s", full, body)
			}
		}
	}
	if code, _, body := e.get("/hub/api/user?include_stopped_servers=perhaps"); code != 400 || !strings.Contains(body, "true or false") {
		t.Errorf("%d %s", code, body)
	}
}

// TestPagesOfUsers follows the addresses that the answers name, as JupyterHub's clients do.
func TestPagesOfUsers(t *testing.T) {
	t.Parallel()
	e := people(t)
	headers := append([]string{"Accept", "application/json, " + paging.MediaType}, carol...)
	var seen []string
	path := "/hub/api/users?sort=-name&limit=2"
	for range 3 {
		_, _, body := e.get(path, headers...)
		var got struct {
			Items []apiUser `json:"items"`
			Page  struct {
				Offset, Limit, Total int
				Next                 *struct {
					Offset, Limit int
					URL           string
				}
			} `json:"_pagination"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Page.Total != 3 || got.Page.Limit != 2 || got.Page.Offset != len(seen) {
			t.Fatalf("%s: %s: %v", path, body, err)
		}
		for _, u := range got.Items {
			seen = append(seen, u.Name)
		}
		if got.Page.Next == nil {
			if !strings.Contains(body, `"next":null`) {
				t.Errorf("%s", body)
			}
			break
		}
		next, ours := strings.CutPrefix(got.Page.Next.URL, e.origin)
		if !ours || got.Page.Next.Offset != len(seen) || got.Page.Next.Limit != 2 {
			t.Fatalf("next %+v", got.Page.Next)
		}
		path = next
	}
	if !slices.Equal(seen, []string{"bob", "ann", "alice"}) {
		t.Errorf("the pages have %v", seen)
	}
	_, _, body := e.get("/hub/api/users?limit=1", append([]string{"X-Forwarded-Proto", "https"}, headers...)...)
	if !strings.Contains(body, `"url":"https://127.0.0.1`) {
		t.Errorf("behind TLS: %s", body)
	}
	_, _, body = e.get("/hub/api/users", headers...)
	if !strings.Contains(body, `"limit":50`) {
		t.Errorf("without a limit: %s", body)
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for query, says := range map[string]string{
		"offset=-1": "offset", "offset=x": "offset", "offset=1.5": "offset", "offset=99999999999999999999": "offset",
		"limit=0": "limit", "limit=-3": "limit", "limit=many": "limit", "state=sleeping": "state", "state=READY": "state",
		"sort=admin": "sort", "sort=--name": "sort", "sort=-": "sort", "include_stopped_servers=2": "include_stopped_servers", "x=%zz": "query", "a;b": "query",
	} {
		code, _, body := e.get("/hub/api/users?"+query, carol...)
		if code != http.StatusBadRequest || !strings.Contains(body, says) {
			t.Errorf("%s: %d %s", query, code, body)
		}
	}
}

// TestS12_ListsAreForAdministrators: nobody else learns who there is, nor what the platform is made
// of, and an administrator's token needs the scope.
func TestS12_ListsAreForAdministrators(t *testing.T) {
	t.Parallel()
	e := people(t)
	by := func(headers []string, scope string) []string {
		return append([]string{contract.HeaderScopes, contract.EncodeHeader(scope)}, headers...)
	}
	for _, path := range []string{"/hub/api/users", "/hub/api/users?name_filter=alice", "/hub/api/info"} {
		scope := "list:users"
		if path == "/hub/api/info" {
			scope = "read:hub"
		}
		for name, headers := range map[string][]string{
			"alice": nil, "alice's token": {contract.HeaderScopes, "inherit"}, "alice's token with the scope": by(nil, scope),
			"carol's token for her own":       by(carol, "self"),
			"carol's token for servers":       by(carol, "admin:servers"),
			"carol's token for one user":      by(carol, "read:users!user=alice"),
			"an administrator without a name": {contract.HeaderUser, "-", contract.HeaderAdmin, "true"},
		} {
			code, _, body := e.get(path, headers...)
			if code != 403 && code != 401 || strings.Contains(body, "bob") {
				t.Errorf("%s as %s: %d %s", path, name, code, body)
			}
		}
		for name, headers := range map[string][]string{"session": carol, "inherit": by(carol, "inherit"), "scope": by(carol, scope)} {
			if code, _, body := e.get(path, headers...); code != 200 {
				t.Errorf("%s by carol's %s: %d %s", path, name, code, body)
			}
		}
	}
	if code, _, _ := e.get("/hub/api/users", by(carol, "read:hub")...); code != 403 {
		t.Errorf("read:hub lists users: %d", code)
	}
	if code, _, _ := e.get("/hub/api/info", by(carol, "admin:users")...); code != 403 {
		t.Errorf("admin:users reads the hub: %d", code)
	}
}

func TestInfo(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	_, _, body := e.get("/hub/api/info", carol...)
	var info struct {
		Version       string
		Python        *string
		SysExecutable *string `json:"sys_executable"`
		Spawner       struct{ Class, Version string }
		Authenticator struct{ Class, Version string }
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil || info.Version != jupyterHubVersion || info.Python == nil || info.SysExecutable == nil ||
		info.Spawner.Class == "" || info.Spawner.Version == "" || info.Authenticator.Class == "" || info.Authenticator.Version == "" {
		t.Errorf("%s: %v", body, err)
	}
}

// TestLastActivity: a server's is when it was last in use, and a user's the latest of them. A server
// that works, or does not tell, is in use at this moment: no program that goes by it may stop it.
func TestLastActivity(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if u := e.model("alice"); u.LastActivity != nil {
		t.Errorf("before anything: %v", u.LastActivity)
	}
	for _, path := range []string{"/hub/spawn/alice", "/hub/spawn/alice/b"} {
		if code, _, _ := e.post(path, nil); code != http.StatusSeeOther {
			t.Fatal(code)
		}
	}
	ago := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return time.Since(*at).Truncate(time.Minute).String()
	}
	check := func(when, first, second, user string) {
		t.Helper()
		u := e.model("alice")
		if a, b := ago(u.Servers[""].LastActivity), ago(u.Servers["b"].LastActivity); a != first || b != second || ago(u.LastActivity) != user {
			t.Errorf("%s: %s and %s ago, alice %s ago; want %s, %s, %s", when, a, b, ago(u.LastActivity), first, second, user)
		}
	}
	check("two that start", "0s", "0s", "0s")
	for _, name := range []string{"", "b"} {
		e.change(name, func(pod *corev1.Pod) {
			memory.Answer(pod)
			pod.CreationTimestamp.Time = time.Now().Add(-5 * time.Hour)
			pod.Status.Conditions[0].LastTransitionTime.Time = time.Now().Add(-5 * time.Hour)
		})
	}
	check("two that do not tell", "0s", "0s", "0s")
	tell := func(name string, ago time.Duration, busy bool) {
		if !e.cluster.Tell(server.ID{User: "alice", Name: name}, time.Now().Add(-ago), busy) {
			t.Fatal(name)
		}
	}
	tell("", 2*time.Hour, false)
	tell("b", 3*time.Hour, false)
	check("two idle ones", "2h0m0s", "3h0m0s", "2h0m0s")
	e.cluster.Report(server.ID{User: "alice", Name: "b"}, time.Now().Add(-time.Hour))
	check("a report", "2h0m0s", "1h0m0s", "1h0m0s")
	tell("", 2*time.Hour, true)
	check("a busy one", "0s", "1h0m0s", "0s")
	tell("", 2*time.Hour, false)
	e.change("b", memory.Age)
	u := e.model("alice")
	if _, shown := u.Servers["b"]; shown || ago(u.LastActivity) != "1h0m0s" {
		t.Errorf("one that ended by itself: alice %s ago", ago(u.LastActivity))
	}
}
