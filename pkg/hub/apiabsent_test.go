package hub

import (
	"strings"
	"testing"
)

// TestWhatJupyterHubHasAndWeHaveNot: administrators get the reason, others nothing but a refusal,
// and a shutdown needs the form's token as any other POST does (S9).
func TestWhatJupyterHubHasAndWeHaveNot(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, c := range []struct {
		method, path string
		says         string
	}{
		{"POST", "/hub/api/users", "first login"},
		{"POST", "/hub/api/users/bob", "first login"},
		{"PATCH", "/hub/api/users/bob", "directory"},
		{"PATCH", "/hub/api/users/alice", "directory"},
		{"PATCH", "/hub/api/proxy", "xds-server"},
		{"POST", "/hub/api/shutdown", "Helm"},
	} {
		if code, _, body := e.api(c.method, c.path, "", carol...); code != 403 || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
		if code, _, body := e.api(c.method, c.path, ""); code != 403 || strings.Contains(body, c.says) {
			t.Errorf("%s %s by alice: %d %s", c.method, c.path, code, body)
		}
	}
	if code, _, body := e.read(e.send(request{method: "POST", path: "/hub/api/shutdown", headers: carol})); code != 403 || strings.Contains(body, "Helm") {
		t.Errorf("a shutdown without the token: %d %s", code, body)
	}
	if code, _, body := e.get("/hub/api/services", carol...); code != 200 || strings.TrimSpace(body) != "{}" {
		t.Errorf("services: %d %s", code, body)
	}
	if code, _, _ := e.get("/hub/api/services"); code != 403 {
		t.Errorf("services by alice: %d", code)
	}
}

// TestUnknownPathsAndMethods: a program learns whether its path or its method is wrong, as JSON.
func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, c := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"GET", "/hub/api/nothing", 404, ""},
		{"POST", "/hub/api/nothing", 404, ""},
		{"GET", "/hub/api/users/", 404, ""},
		{"GET", "/hub/api/users/alice/server/nothing", 404, ""},
		{"DELETE", "/hub/api/users", 405, "GET, HEAD, POST"},
		{"PUT", "/hub/api/users/alice/server", 405, "DELETE, GET, HEAD, POST"},
		{"PATCH", "/hub/api/users/alice/servers/b", 405, "DELETE, GET, HEAD, POST"},
		{"GET", "/hub/api/shutdown", 405, "POST"},
		{"GET", "/hub/api/users/alice/activity", 405, "POST"},
		{"POST", "/hub/api", 405, "GET, HEAD"},
		{"OPTIONS", "/hub/api/users", 405, "GET, HEAD, POST"},
	} {
		r := e.send(request{method: c.method, path: c.path, headers: append([]string{"X-XSRFToken", token}, carol...)})
		code, _, body := e.read(r)
		if code != c.code || r.Header.Get("Allow") != c.allow || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || !strings.Contains(body, `"message":`) {
			t.Errorf("%s %s: %d, Allow %q, %s", c.method, c.path, code, r.Header.Get("Allow"), body)
		}
	}
}
