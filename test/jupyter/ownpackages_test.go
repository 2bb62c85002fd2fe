package jupyter

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/server"
)

// mine is a server extension of the user's own. It tells what it finds.
const mine = `import json, sys, importlib.metadata
import tornado.web
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join

class Mine(JupyterHandler):
    @tornado.web.authenticated
    def get(self):
        import of_mine, mistune, json5, requests
        found = {m.__name__: getattr(m, "__version__", "") for m in (of_mine, mistune, json5, requests)}
        self.finish(json.dumps({**found, "path": [p for p in sys.path if p], "patched": getattr(sys, "patched", "")}))

def _jupyter_server_extension_points():
    return [{"module": "mine"}]

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "mine"), Mine)])
`

// at moves the files of "packages/" to where the image's Python looks for a user's packages.
func (p *pod) at(files map[string]string) map[string]string {
	p.t.Helper()
	folders, err := filepath.Glob(filepath.Join(p.image, "lib/python3.*"))
	if err != nil || len(folders) != 1 {
		p.t.Fatalf("%v: %v", folders, err)
	}
	moved := map[string]string{}
	for name, text := range files {
		if own, ok := strings.CutPrefix(name, "packages/"); ok {
			name = filepath.Join(".local/lib", filepath.Base(folders[0]), "site-packages", own)
		}
		moved[name] = text
	}
	return moved
}

// homeWith is a home with the extension mine, and more files.
func homeWith(more map[string]string) map[string]string {
	files := map[string]string{
		"packages/mine.py":                    mine,
		"packages/of_mine.py":                 "__version__ = 'mine'\n",
		".jupyter/jupyter_server_config.json": `{"ServerApp": {"jpserver_extensions": {"mine": true}}}`,
	}
	maps.Copy(files, more)
	return files
}

// TestWaitingProcessKnowsTheUsersPackages: what users have installed and configured counts as in a pod of their own, if
// need be in a process that has not waited.
func TestWaitingProcessKnowsTheUsersPackages(t *testing.T) {
	id := server.ID{User: "alice"}
	for name, c := range map[string]struct {
		files map[string]string
		env   []string
		anew  bool
	}{
		"a package":                    {files: nil},
		"a program of a package":       {files: map[string]string{"packages/x-1.dist-info/entry_points.txt": "[console_scripts]\nx = x:main\n"}},
		"another version of a module":  {files: map[string]string{"packages/json5.py": "__version__ = 'mine'\nfrom json import *\n"}, anew: true},
		"another version of a later":   {files: map[string]string{"packages/mistune.py": "__version__ = 'mine'\n"}},
		"one that the image has not":   {files: map[string]string{"packages/numpy.py": ""}},
		"one that was looked for":      {files: map[string]string{"packages/webcolors.py": ""}, anew: true},
		"one that is put off":          {files: map[string]string{"packages/requests.py": "__version__ = 'mine'\n"}, anew: true},
		"a path file":                  {files: map[string]string{"packages/x.pth": "import sys; sys.patched = 'patched'\n"}, anew: true},
		"a customization":              {files: map[string]string{"packages/usercustomize.py": "import sys; sys.patched = 'patched'\n"}, anew: true},
		"an entry point":               {files: map[string]string{"packages/x-1.dist-info/entry_points.txt": "[jupyterlab.languagepack]\nzh_CN = x\n"}, anew: true},
		"a program as configuration":   {files: map[string]string{".jupyter/jupyter_server_config.py": "import sys; sys.patched = 'patched'\n"}, anew: true},
		"a variable that the pool had": {env: []string{"LC_ALL", "C.UTF-8"}, anew: true},
		"no packages of the user's":    {env: []string{"PYTHONNOUSERSITE", "1"}, anew: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, recipe{})
			writeFiles(t, p.home, p.at(homeWith(c.files)))
			warm := tells(t, p.serve(id, c.env...))
			if p.anew() != c.anew {
				t.Errorf("started anew: %v, want %v", p.anew(), c.anew)
			}
			if c.env == nil && warm["of_mine"] != "mine" {
				t.Errorf("the user's package is not found: %v", warm)
			}
			p.stop()
			if c.anew { // as any server then
				return
			}
			var env []string
			for name, value := range p.orderFor(id, c.env...).Env {
				env = append(env, name+"="+value)
			}
			fresh := newPod(t, recipe{like: p, cold: true, env: env})
			if cold := tells(t, fresh.answers(http.DefaultClient, id)); !reflect.DeepEqual(warm, cold) {
				t.Errorf("a server that waited tells\n%v\nand one of a pod of its own\n%v", warm, cold)
			}
		})
	}
}

// tells returns what the extension mine finds; nothing where it is not loaded.
func tells(t *testing.T, base string) (found map[string]any) {
	t.Helper()
	status, text := ask(t, "GET", base+"mine", gateway())
	if err := json.Unmarshal([]byte(text), &found); status == http.StatusOK && err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSafeStartOfAWaitingProcess: what keeps a server from starting does not keep a safe start from it.
func TestSafeStartOfAWaitingProcess(t *testing.T) {
	id := server.ID{User: "alice"}
	p := newPod(t, recipe{})
	writeFiles(t, p.home, p.at(map[string]string{
		".jupyter/jupyter_server_config.py": "raise SystemExit('ruined')",
		"packages/jupyterlab/__init__.py":   "raise SystemExit('ruined')",
	}))
	var more []string
	for _, variable := range chosen(t, id, spawn.Options{Safe: true}) {
		name, value, _ := strings.Cut(variable, "=")
		more = append(more, name, value)
	}
	if base := p.serve(id, more...); !p.anew() {
		t.Errorf("%s was not started anew", base)
	}
	p = newPod(t, recipe{like: p})
	p.ready(http.DefaultClient)
	if err := order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, p.orderFor(id)); err != nil {
		t.Fatal(err)
	}
	p.mount()
	if code := p.exit(); code == 0 || !strings.Contains(p.out.String(), "ruined") {
		t.Errorf("negative control: exit code %d", code)
	}
}
