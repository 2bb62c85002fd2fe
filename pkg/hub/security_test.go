package hub

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/test/wait"
)

// TestH1_IdentityComesFromTheHeadersOnly: nobody gets anywhere without the gateway's headers, nor with two of one. The
// version of the REST API is open to all (TestWhatIsOpen).
func TestH1_IdentityComesFromTheHeadersOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, path := range []string{"/hub/", "/hub/home", "/hub/spawn", "/hub/spawn-pending/alice", "/hub/user-redirect/lab", "/hub/user/alice/", "/hub/api/users", "/hub/api/user", "/hub/api/users/alice/server/progress", "/hub/nothing"} {
		for name, headers := range map[string][]string{
			"none":      {contract.HeaderUser, "-"},
			"two":       {contract.HeaderUser, "bob"},
			"empty":     {contract.HeaderUser, "-", contract.HeaderUser, ""},
			"malformed": {contract.HeaderUser, "-", contract.HeaderUser, "%zz"},
			"no name":   {contract.HeaderUser, "-", contract.HeaderUser, ".."},
			"two admin": {contract.HeaderAdmin, "true", contract.HeaderAdmin, "false"},
		} {
			if code, _, body := e.get(path, headers...); code != 401 {
				t.Errorf("%s with %s: %d %.200s", path, name, code, body)
			}
		}
	}
	if code, _, body := e.get("/hub/api/user", contract.HeaderUser, "-"); code != 401 || !json.Valid([]byte(body)) || !strings.Contains(body, `"status":401`) {
		t.Errorf("JSON: %d %s", code, body)
	}
	if code, _, _ := e.get("/hub/home"); code != 200 {
		t.Errorf("negative control: with identity %d", code)
	}
}

// TestS9_StateChangesNeedTheToken: what changes something needs the session's token and must not be
// cross-origin; it is refused before anything is asked of the cluster.
func TestS9_StateChangesNeedTheToken(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	good := url.Values{contract.XSRFName: {token}}
	for name, r := range map[string]request{
		"no token":              {method: "POST", path: "/hub/spawn/alice", form: url.Values{}},
		"wrong token":           {method: "POST", path: "/hub/spawn/alice", form: url.Values{contract.XSRFName: {token + "x"}}},
		"token in the URL":      {method: "POST", path: "/hub/spawn/alice?_xsrf=" + token, form: url.Values{}},
		"session without token": {method: "POST", path: "/hub/spawn/alice", form: url.Values{contract.XSRFName: {""}}, headers: []string{contract.HeaderXSRF, "-"}},
		"cross-site":            {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Sec-Fetch-Site", "cross-site"}},
		"same-site":             {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Sec-Fetch-Site", "same-site"}},
		"foreign origin":        {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Origin", "http://evil.test"}},
		"null origin":           {method: "POST", path: "/hub/spawn/alice", form: good, headers: []string{"Origin", "null"}},
		"stop":                  {method: "POST", path: "/hub/stop/alice", form: url.Values{}},
		"REST start":            {method: "POST", path: "/hub/api/users/alice/server"},
		"REST stop":             {method: "DELETE", path: "/hub/api/users/alice/server"},
		"text/plain JSON":       {method: "POST", path: "/hub/api/users/alice/server", body: `{"_xsrf":"` + token + `"}`, headers: []string{"Content-Type", "text/plain"}},
	} {
		if code, _, body := e.read(e.send(r)); code != 403 {
			t.Errorf("%s: %d %.200s", name, code, body)
		}
	}
	if n := e.changes.Load(); n != 0 {
		t.Errorf("the cluster was asked for %d changes", n)
	}
	if code, _, _ := e.post("/hub/spawn/alice", nil, "Sec-Fetch-Site", "same-origin"); code != 303 {
		t.Errorf("negative control: %d", code)
	}
}

// TestForeignServersAreRefused: a visitor's own only, administrators everyone's; the answer does
// not depend on whether the other person exists.
func TestForeignServersAreRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	bob := []string{contract.HeaderUser, "-", contract.HeaderUser, "bob"}
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	for _, owner := range []string{"alice", "nobody"} {
		for _, path := range []string{"/hub/spawn/", "/hub/spawn-pending/", "/hub/user/", "/hub/api/users/"} {
			if code, _, _ := e.get(path+owner, bob...); code != 403 {
				t.Errorf("GET %s%s: %d", path, owner, code)
			}
		}
		for _, path := range []string{"/hub/spawn/" + owner, "/hub/stop/" + owner, "/hub/stop/" + owner + "/demo"} {
			if code, _, _ := e.post(path, nil, bob...); code != 403 {
				t.Errorf("POST %s: %d", path, code)
			}
		}
		for _, method := range []string{"POST", "DELETE"} {
			if code, _, _ := e.api(method, "/hub/api/users/"+owner+"/server", "", bob...); code != 403 {
				t.Errorf("%s API of %s: %d", method, owner, code)
			}
		}
		if code, _, _ := e.get("/hub/api/users/"+owner+"/server/progress", bob...); code != 403 {
			t.Errorf("progress of %s: %d", owner, code)
		}
	}
	// One audit line for each: 4 pages, 3 forms, 3 calls, of 2 people.
	if n := strings.Count(e.log.String(), `msg="access refused" audit=true event=access.refused user=bob`); n != 20 {
		t.Errorf("%d audit lines", n)
	}
	carol := []string{contract.HeaderUser, "-", contract.HeaderUser, "carol", contract.HeaderAdmin, "true"}
	if code, _, _ := e.api("DELETE", "/hub/api/users/alice/server", "", carol...); code != 204 {
		t.Errorf("an administrator's stop: %d", code)
	}
	liar := []string{contract.HeaderUser, "-", contract.HeaderUser, "bob", contract.HeaderAdmin, "yes"}
	if code, _, _ := e.api("DELETE", "/hub/api/users/alice/server", "", liar...); code != 403 {
		t.Errorf("admin header that is not true: %d", code)
	}
}

// TestU1_U3_NextStaysHome: no next leads off the origin or into a server of someone else.
func TestU1_U3_NextStaysHome(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if code, _, _ := e.post("/hub/spawn/alice", nil); code != 303 {
		t.Fatal(code)
	}
	e.change("", memory.Answer)
	wait.Until(t, "running", func() bool { code, _, _ := e.get("/hub/spawn-pending/alice"); return code == 302 })
	for _, next := range []string{
		"//e", "///e", `/\e`, "/%09/e", "/%5ce", "/ /e", "https:e", "https://hub.test.evil/", "javascript:alert(1)", "@e", "\t//e",
		"/user/bob/lab", "/user/alice/../bob/lab", "/user/alicex/", "/hub/logout", "/user/alice//e",
		"/hub/user-redirect/../bob/lab", "/hub/user-redirect//e", "/hub/user-redirect/%2e%2e/bob", `/hub/user-redirect/\e`, "/hub/user-redirect",
	} {
		if code, to, _ := e.get("/hub/spawn-pending/alice?next=" + url.QueryEscape(next)); code != 302 || to != "/user/alice/" {
			t.Errorf("next=%q leads to %d %s", next, code, to)
		}
		if _, to, _ := e.post("/hub/spawn/alice", url.Values{"next": {next}}); to != "/hub/spawn-pending/alice" {
			t.Errorf("next=%q is carried on to %s", next, to)
		}
	}
	for from, want := range map[string]string{
		"/hub/spawn-pending/alice?next=" + url.QueryEscape("/hub/user-redirect/git-pull?repo=https%3A%2F%2Fe&urlpath=lab"): "/user/alice/git-pull?repo=https%3A%2F%2Fe&urlpath=lab",
		"/hub/user-redirect/lab/tree/a%20b?x=1": "/user/alice/lab/tree/a%20b?x=1",
		"/hub/user-redirect/":                   "/user/alice/",
	} {
		if code, to, _ := e.get(from); code != 302 || to != want {
			t.Errorf("%s: %d %s", from, code, to)
		}
	}
	for _, bad := range []string{"/hub/user-redirect/%2e%2e/bob/", "/hub/user-redirect/a%5cb", "/hub/user-redirect/%2f%2fevil.test"} {
		if code, to, _ := e.get(bad); code != 400 {
			t.Errorf("%s: %d %s", bad, code, to)
		}
	}
}
