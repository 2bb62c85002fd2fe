package jupyter

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// probe is a server extension that tells what an application in the server sees.
const probe = `import json
import tornado.web
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join

class Probe(JupyterHandler):
    @tornado.web.authenticated
    def get(self):
        keep = ("mine", "hub_prefix", "user", "websocket_max_message_size")
        self.finish(json.dumps({
            "user": self.current_user.username, "headers": dict(self.request.headers),
            "settings": {name: self.settings.get(name) for name in keep},
        }))

def _jupyter_server_extension_points():
    return [{"module": "probe"}]

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "probe"), Probe)])
`

// probed starts a server of a user who has a configuration file, and returns what the probe
// tells.
func probed(t *testing.T, file string) (got struct {
	User     string
	Headers  map[string]string
	Settings map[string]any
}) {
	t.Helper()
	home := t.TempDir()
	writeFiles(t, home, map[string]string{"probe.py": probe, ".jupyter/jupyter_server_config.py": file})
	id := server.ID{User: "alice"}
	base := start(t, id, "HOME="+home, "PYTHONPATH="+home) + id.Prefix()
	headers := gateway()
	headers["X-Mine"] = "kept"
	status, text := ask(t, http.MethodGet, base+"probe", headers)
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	return got
}

// TestAUsersOwnFileCounts: what the platform sets is added to it, and the gateway's headers do
// not reach what runs in the server.
func TestAUsersOwnFileCounts(t *testing.T) {
	for name, c := range map[string]struct {
		own  string
		size float64
	}{
		"without a size": {`"mine": "kept"`, 100 << 20},
		"with a size":    {`"mine": "kept", "websocket_max_message_size": 12345`, 12345},
	} {
		got := probed(t, `c.ServerApp.jpserver_extensions = {"probe": True}
c.ServerApp.tornado_settings = {`+c.own+`, "hub_prefix": "/wrong/"}
`)
		s := got.Settings
		if s["mine"] != "kept" || s["hub_prefix"] != "/hub/" || s["user"] != "alice" || s["websocket_max_message_size"] != c.size {
			t.Errorf("%s: %v", name, s)
		}
		if got.User == "" || got.Headers["X-Mine"] != "kept" {
			t.Errorf("%s: the visitor is %q, other headers %v", name, got.User, got.Headers)
		}
		for header := range got.Headers {
			if strings.HasPrefix(strings.ToLower(header), contract.PrivatePrefix) {
				t.Errorf("%s: an application in the server sees %s", name, header)
			}
		}
	}
}
