package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
)

// answer asks for JSON.
func answer[T any](e *env, path string, headers ...string) (code int, out T) {
	e.t.Helper()
	code, _, body := e.get(path, headers...)
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		e.t.Errorf("%s: %d %s", path, code, body)
	}
	return code, out
}

// TestRightsAreTheCallersOwn: groups and rights come with the request of the user. Of others they are
// left out: false or an empty list would be a lie.
func TestRightsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	mine := append([]string{contract.HeaderGroups, "physics r%20&%20d"}, carol...)
	code, carols := answer[apiUser](e, "/hub/api/user", mine...)
	if code != 200 || carols.Admin == nil || !*carols.Admin || strings.Join(carols.Groups, ",") != "physics,r & d" || strings.Join(carols.Roles, ",") != "user,admin" || carols.Scopes != nil {
		t.Errorf("carol: %d %+v", code, carols)
	}
	if code, _, body := e.get("/hub/api/users/alice", mine...); code != 404 || !strings.Contains(body, `"status":404`) {
		t.Errorf("alice, who has nothing and no account: %d %s", code, body)
	}
	known := append([]string{contract.HeaderSubject, "alice chess"}, mine...)
	if _, alices := answer[apiUser](e, "/hub/api/users/alice", known...); alices.Admin != nil || strings.Join(alices.Groups, ",") != "chess" || alices.Roles != nil {
		t.Errorf("alice, who has an account, as carol sees her: %+v", alices)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/server", ""); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	if _, alices := answer[apiUser](e, "/hub/api/users/alice", mine...); alices.Admin != nil || alices.Groups != nil || alices.Roles != nil {
		t.Errorf("alice, who has a server and no account: %+v", alices)
	}
	if _, alices := answer[apiUser](e, "/hub/api/users/alice"); alices.Admin == nil || *alices.Admin || alices.Groups == nil || len(alices.Groups) != 0 || strings.Join(alices.Roles, ",") != "user" {
		t.Errorf("alice herself: %+v", alices)
	}
	if _, token := answer[apiUser](e, "/hub/api/user", contract.HeaderScopes, contract.EncodeHeader("self")); strings.Join(token.Scopes, ",") != "self" {
		t.Errorf("by token: %+v", token)
	}
}

// TestServerModel: one server by itself is as in its user's model, and JupyterHub 6 asks for it.
func TestServerModel(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, s := answer[apiServer](e, "/hub/api/users/alice/server"); code != 200 || !s.Stopped || s.Ready || s.Started != nil {
		t.Errorf("a default server that was never started: %d %+v", code, s)
	}
	if code, _, body := e.get("/hub/api/users/alice/servers/b"); code != 404 || !strings.Contains(body, `"status":404`) {
		t.Errorf("no such server: %d %s", code, body)
	}
	if code, _, body := e.api("POST", "/hub/api/users/alice/servers/b", `{"profile":"lab"}`); code != 202 {
		t.Fatalf("%d %s", code, body)
	}
	code, s := answer[apiServer](e, "/hub/api/users/alice/servers/b", "X-Forwarded-Proto", "https")
	https := strings.Replace(e.origin, "http:", "https:", 1)
	if code != 200 || s.Pending == nil || *s.Pending != "spawn" || s.FullURL != https+"/user/alice/b/" || s.FullProgressURL != https+"/hub/api/users/alice/servers/b/progress" || s.UserOptions.Profile != "lab" {
		t.Errorf("%d %+v", code, s)
	}
	if got, whole := s, e.model("alice").Servers["b"]; got.URL != whole.URL || got.Started == nil || !got.Started.Equal(*whole.Started) {
		t.Errorf("%+v is not %+v", got, whole)
	}
	e.cluster.Put(memory.Labelled("rstudio", server.ID{User: "alice", Name: "rstudio"}, time.Now()))
	if code, s := answer[apiServer](e, "/hub/api/users/alice/servers/rstudio"); code != 200 || !s.Published || !s.Ready {
		t.Errorf("a published server: %d %+v", code, s)
	}
	if code, _, _ := e.get("/hub/api/users/bob/server"); code != 403 {
		t.Errorf("another's: %d", code)
	}
}

// TestS12_ScopesOfServers: a token that may only stop or only read does only that (S12).
func TestS12_ScopesOfServers(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const path = "/hub/api/users/alice/server"
	by := func(scope string) []string { return []string{contract.HeaderScopes, contract.EncodeHeader(scope)} }
	for _, c := range []struct {
		scope, method string
		code          int
	}{
		{"delete:servers!user=alice", "POST", 403}, {"read:servers!user=alice", "POST", 403}, {"servers!user=alice", "POST", 202},
		{"delete:servers!user=alice", "GET", 403}, {"users:activity!user=alice", "GET", 403}, {"read:servers!user=alice", "GET", 200},
		{"read:servers!user=alice", "DELETE", 403}, {"servers!server=alice/b", "DELETE", 403}, {"delete:servers!user=alice", "DELETE", 204},
	} {
		if code, _, body := e.api(c.method, path, "", by(c.scope)...); code != c.code {
			t.Errorf("%s with %s: %d %s, want %d", c.method, c.scope, code, body, c.code)
		}
	}
}

// TestRoutes: administrators see where requests are led, in JupyterHub's model and in parts.
func TestRoutes(t *testing.T) {
	t.Parallel()
	e := people(t)
	e.change("", func(pod *corev1.Pod) { pod.Status.PodIP, pod.Status.HostIP = "10.9.8.7", "192.0.2.1" })
	e.change("", func(pod *corev1.Pod) {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	})
	code, routes := answer[map[string]apiRoute](e, "/hub/api/proxy", carol...)
	mine, ann := routes["/user/alice/"], routes["/user/ann/rstudio/"]
	if code != 200 || len(routes) != 2 || mine.Target != "http://10.9.8.7:8888" || mine.Spec != "/user/alice/" || mine.Data.User != "alice" || mine.Data.Server != "" ||
		ann.Target != "http://10.1.2.3:8787" || ann.Data.Server != "rstudio" {
		t.Errorf("%d %+v", code, routes)
	}
	for query, want := range map[string]string{"?limit=1": "/user/alice/", "?offset=1": "/user/ann/rstudio/"} {
		if _, part := answer[map[string]apiRoute](e, "/hub/api/proxy"+query, carol...); len(part) != 1 || part[want].Spec != want {
			t.Errorf("%s: %+v", query, part)
		}
	}
	if code, _, body := e.get("/hub/api/proxy?limit=x", carol...); code != 400 || !strings.Contains(body, "limit") {
		t.Errorf("%d %s", code, body)
	}
	for name, headers := range map[string][]string{
		"alice": nil, "carol's token for the hub": append([]string{contract.HeaderScopes, contract.EncodeHeader("read:hub")}, carol...),
	} {
		if code, _, body := e.get("/hub/api/proxy", headers...); code != 403 || strings.Contains(body, "10.") {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
}

// TestCheckOfRoutes answers once Envoy leads to every server, and says when it refuses one.
func TestCheckOfRoutes(t *testing.T) {
	t.Parallel()
	e := people(t)
	if code, _, body := e.api("POST", "/hub/api/proxy", "", carol...); code != 200 || body != "" {
		t.Errorf("all is well: %d %s", code, body)
	}
	e.refused.Store("uid-of-rstudio", errors.New("a poisonous route"))
	r := e.send(request{method: "POST", path: "/hub/api/proxy", headers: append([]string{contract.XSRFHeader, token}, carol...)})
	if code, _, body := e.read(r); code != 503 || r.Header.Get("Retry-After") == "" || strings.Contains(body, "poisonous") {
		t.Errorf("a refused route: %d %s", code, body)
	}
	if code, _, _ := e.api("POST", "/hub/api/proxy", ""); code != http.StatusForbidden {
		t.Errorf("alice: %d", code)
	}
	if len(e.cluster.Routed()) == 0 || spawn.Routed(nil) != nil {
		t.Error("nothing was checked")
	}
}

// TestBodiesOfAStart: as JupyterHub 5 takes them and as 6 does.
func TestBodiesOfAStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for body, want := range map[string]string{
		``:                               "202  ",
		`{}`:                             "202  ",
		`{"profile":"lab"}`:              "202 lab ",
		`{"user_options":{}}`:            "202  ",
		`{"user_options":null}`:          "202  ",
		`{"display_name":"My <server>"}`: "202  My <server>",
		`{"user_options":{"profile":"lab"},"display_name":" Two "}`: "202 lab Two",
		`{"user_options":{"profile":"lab"},"profile":"lab"}`:        "400  ",
		`{"user_options":[]}`:                        "400  ",
		`{"user_options":{"profile":7}}`:             "400  ",
		`{"display_name":7}`:                         "400  ",
		`{"display_name":"a\u0000"}`:                 "400  ",
		`{"user_options":{}}{"user_options":{}}`:     "400  ",
		`{"user_options":{"profile":"gpu"}}`:         "400  ",
		`{"user_options":{"user_options":"nested"}}`: "400  ",
		`[]`:   "400  ",
		`"x"`:  "400  ",
		`null`: "202  ",
	} {
		code, _, _ := e.api("POST", "/hub/api/users/alice/servers/b", body)
		s, err := e.cluster.Get(t.Context(), server.ID{User: "alice", Name: "b"})
		if got := fmt.Sprintf("%d %s %s", code, s.Options.Profile, s.DisplayName); err != nil || got != want {
			t.Errorf("%s: %q, want %q, %v", body, got, want, err)
		}
		if _, err := e.cluster.Stop(t.Context(), server.ID{User: "alice", Name: "b"}, time.Second); err != nil {
			t.Fatal(err)
		}
		if err := e.cluster.Forget(t.Context(), server.ID{User: "alice", Name: "b"}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoAdministratorsStopOneServer at one moment: each learns that it stops or is gone, and one who
// comes later, too.
func TestTwoAdministratorsStopOneServer(t *testing.T) {
	t.Parallel()
	e := people(t)
	codes := make(chan int, 8)
	for range cap(codes) {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), "DELETE", e.origin+"/hub/api/users/alice/server", nil)
			if err != nil {
				codes <- 0
				return
			}
			for key, value := range map[string]string{contract.HeaderUser: "carol", contract.HeaderAdmin: "true", contract.HeaderScopes: "inherit"} {
				req.Header.Set(key, value)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				codes <- 0
				return
			}
			_ = resp.Body.Close()
			codes <- resp.StatusCode
		}()
	}
	for range cap(codes) {
		if code := <-codes; code != http.StatusNoContent && code != http.StatusAccepted {
			t.Errorf("a stop is answered with %d", code)
		}
	}
	if got := e.cluster.List("alice"); len(got) != 0 {
		t.Errorf("there still is %+v", got)
	}
}
