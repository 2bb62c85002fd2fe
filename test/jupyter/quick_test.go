package jupyter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// languagePack writes a translation into Chinese as pip would install it, and returns its folder.
func languagePack(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"pack-1.dist-info/METADATA":                     "Metadata-Version: 2.1\nName: pack\nVersion: 1\n",
		"pack-1.dist-info/entry_points.txt":             "[jupyterlab.languagepack]\nzh_CN = pack\n",
		"pack/__init__.py":                              "",
		"pack/locale/zh_CN/LC_MESSAGES/jupyterlab.json": `{"": {"domain": "jupyterlab", "language": "zh_CN", "version": "4"}, "File": ["文件"]}`,
	})
	return dir
}

// TestPutOffIsNotGone: what a start leaves out is there for the one who asks for it.
func TestPutOffIsNotGone(t *testing.T) {
	lists := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"blocked_extensions": [{"name": "from-the-list"}]}`)
	}))
	defer lists.Close()
	home := t.TempDir()
	writeFiles(t, home, map[string]string{
		".jupyter/jupyter_server_config.py": `c.LabServerApp.blocked_extensions_uris = "` + lists.URL + `"`,
		"x.ipynb":                           `{"cells": [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A title"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}`,
	})
	id := server.ID{User: "alice"}
	base := start(t, id, "HOME="+home, "PYTHONPATH="+languagePack(t)) + id.Prefix()
	script := gateway(contract.HeaderByToken, "true")
	for _, c := range []struct{ name, method, path, want string }{
		{"the page names the extension manager", "GET", "lab", `"name": "PyPI"`},
		{"the extension manager lists what is installed", "GET", "lab/api/extensions", `"jupyterlab_pygments"`},
		{"its list of what is forbidden is fetched", "GET", "lab/api/listings/@jupyterlab/extensionmanager-extension/listings.json", "from-the-list"},
		{"languages are listed", "GET", "lab/api/translations", `"zh_CN"`},
		{"a translation is used", "GET", "lab/api/translations/zh_CN", `\u6587\u4ef6`},
		{"a notebook is exported", "GET", "nbconvert/html/x.ipynb", "A title"},
		{"formats of exports are listed", "GET", "api/nbconvert", "latex"},
		{"a terminal is opened", "POST", "api/terminals", `"name": "1"`},
		{"kernels are listed", "GET", "api/kernelspecs", `"python3"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var status int
			var body string
			wait.Poll(10*time.Second, func() bool { // the list is fetched by a thread
				status, body = ask(t, c.method, base+c.path, script)
				return strings.Contains(body, c.want)
			})
			if status >= http.StatusBadRequest || !strings.Contains(body, c.want) {
				t.Errorf("%d, and no %s in %.500s", status, c.want, body)
			}
		})
	}
}

// later tries the modules that quick-lab puts off, in one process and without a server.
const later = `
import importlib, sys, threading, types, runpy
quick = runpy.run_path(sys.argv[1])
Later, WAITING = quick["Later"], quick["WAITING"]

import requests, websocket
assert type(requests) is Later and "requests" in WAITING and "urllib3" not in sys.modules

# Many threads want a module at once. None sees a part of it.
begin, got = threading.Barrier(8), []
def want():
    begin.wait()
    got.append((requests.get, requests.Session, requests.__version__))
threads = [threading.Thread(target=want) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(got) == 8 and len(set(got)) == 1, got
assert type(requests) is types.ModuleType and requests.__spec__.loader is requests.__loader__
assert importlib.reload(requests) is requests

# A part of a module comes after the whole.
from websocket._abnf import ABNF
assert type(websocket) is types.ModuleType and websocket.ABNF is ABNF
assert sys.modules["websocket._abnf"].__spec__.name == "websocket._abnf" and sys.modules["websocket._abnf"].__spec__.origin.endswith("_abnf.py")

# Names that are not there, and modules.
for wrong in ("requests.no_such_name", "tornado.locale.no_such_name"):
    module, name = wrong.rsplit(".", 1)
    try:
        getattr(importlib.import_module(module), name)
    except AttributeError:
        continue
    raise AssertionError(wrong)
import tornado.locale
assert tornado.locale.get("en_US").code == "en_US"

# A module that fails says so each time, as an import does.
quick["LATER"].add("fails")
import fails
for _ in range(2):
    try:
        fails.name
    except ZeroDivisionError:
        continue
    raise AssertionError("no error")
print("done")
`

func TestModulesThatWait(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "fails.py"), []byte("1 / 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(venv(t), "bin", "python3"), "-c", later, quick[1])
	cmd.Env = []string{"PYTHONPATH=" + dir, "HOME=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "done" {
		t.Errorf("%v\n%s", err, out)
	}
}
