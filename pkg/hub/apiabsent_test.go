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
		code         int
		says         string
	}{
		{"GET", "/hub/api/groups", 404, "kept by the directory"},
		{"GET", "/hub/api/groups/physics", 404, "kept by the directory"},
		{"GET", "/hub/api/proxy", 404, "routing table"},
		{"POST", "/hub/api/shutdown", 403, "Helm"},
	} {
		if code, _, body := e.api(c.method, c.path, "", carol...); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, body)
		}
		if code, _, body := e.api(c.method, c.path, ""); code != 403 || strings.Contains(body, c.says) {
			t.Errorf("%s %s by alice: %d %s", c.method, c.path, code, body)
		}
	}
	if code, _, body := e.read(e.send(request{method: "POST", path: "/hub/api/shutdown", headers: carol})); code != 403 || strings.Contains(body, "Helm") {
		t.Errorf("a shutdown without the token: %d %s", code, body)
	}
}
