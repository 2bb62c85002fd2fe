package jupyter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/server"
)

// TestWaitingProcessBecomesAServer: it is alice's server as one of a pod of its own would be, and the pool's home and
// environment are forgotten.
func TestWaitingProcessBecomesAServer(t *testing.T) {
	id := server.ID{User: "张三@x.org", Name: "my demo"}
	p := newPod(t, recipe{})
	writeFiles(t, p.home, map[string]string{
		"mine.txt": "text", ".local/share/jupyter/kernels/mine/kernel.json": `{"argv": ["mine"], "display_name": "A kernel of the user's", "language": "mine"}`,
	})
	p.ready(http.DefaultClient)
	pool, err := os.Open(fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, p.dir)) // what the home will cover
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	base := p.serve(id)
	if p.anew() {
		t.Error("it was started anew")
	}
	if status, body := ask(t, "GET", base+"api/contents", gateway()); status != 200 || !strings.Contains(body, "mine.txt") {
		t.Errorf("the home: %d %s", status, body)
	}
	if _, kernels := ask(t, "GET", base+"api/kernelspecs", gateway()); !strings.Contains(kernels, "A kernel of the user's") {
		t.Errorf("the kernels: %s", kernels)
	}
	if status, page := ask(t, "GET", base+"lab", gateway()); status != 200 || !strings.Contains(page, `"baseUrl": "`+id.Prefix()) {
		t.Errorf("the page: %d %.2000s", status, page)
	}
	for path, want := range map[string]int{"api": 200, "api/kernels": 403, "lab": 302} {
		if status, _ := ask(t, "GET", base+path, nil); status != want {
			t.Errorf("%s without the gateway's secret: %d", path, status)
		}
	}
	for _, file := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
		if err != nil || strings.Contains(string(text), secret) {
			t.Errorf("%s holds the secret, or cannot be read: %v", file, err)
		}
	}
	env := environment(t, base)
	for name, want := range map[string]any{"HOME": p.dir, "PWD": p.dir, "cwd": p.dir, "JUPYTERHUB_USER": id.User, "PERIJOVE_SERVER_SECRET": nil, order.EnvKey: nil} {
		if env[name] != want {
			t.Errorf("a kernel has %s = %v, want %v", name, env[name], want)
		}
	}
	if names, err := pool.Readdirnames(-1); err != nil || len(names) > 0 {
		t.Errorf("the pool's home holds %v, %v", names, err)
	}
	if err := order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, p.orderFor(server.ID{User: "bob"})); !errors.Is(err, order.ErrTaken) {
		t.Errorf("an order for a server: %v", err)
	}
}

// environment returns the environment of a kernel, and its folder as cwd.
func environment(t *testing.T, base string) map[string]any {
	t.Helper()
	var answer struct {
		Expressions map[string]struct{ Data map[string]string } `json:"user_expressions"`
	}
	newKernel(t, http.DefaultClient, base).ask("execute", map[string]any{
		"code": "import os, json; env = json.dumps(dict(os.environ, cwd=os.getcwd())).encode().hex()", "silent": true, "store_history": false,
		"user_expressions": map[string]string{"env": "env"}, "allow_stdin": false, "stop_on_error": true,
	}, &answer)
	var text []byte
	if _, err := fmt.Sscanf(strings.Trim(answer.Expressions["env"].Data["text/plain"], "'"), "%x", &text); err != nil {
		t.Fatal(err)
	}
	env := map[string]any{}
	if err := json.Unmarshal(text, &env); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return env
}

// early is a server extension that keeps what it reads while it is imported.
const early = `import os
import tornado.web
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join

USER = os.environ.get("JUPYTERHUB_USER", "nobody")

class Early(JupyterHandler):
    @tornado.web.authenticated
    def get(self):
        self.finish(USER)

def _jupyter_server_extension_points():
    return [{"module": "early"}]

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "early"), Early)])
`

// TestImageThatReadsTooEarlyDoesNotWait: without the watch its extension would take every user for nobody.
func TestImageThatReadsTooEarlyDoesNotWait(t *testing.T) {
	for name, c := range map[string]struct{ code, says string }{
		"a variable":           {early, "early reads JUPYTERHUB_USER while it is imported"},
		"its home":             {"import pathlib\nHOME = pathlib.Path.home()\n", "early reads HOME while it is imported"},
		"a path of Jupyter's":  {"from jupyter_core.paths import jupyter_data_dir\nDATA = jupyter_data_dir()\n", "early reads HOME while it is imported"},
		"the file of accounts": {"import os, pwd\nHOME = pwd.getpwuid(os.getuid()).pw_dir\n", "early reads HOME while it is imported"},
		"all variables":        {"import os\nENV = dict(os.environ)\n", "early reads HOME while it is imported"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, earlyIn(c.code, nil))
			if code := p.exit(); code != order.ExitUnfit || !strings.HasSuffix(strings.TrimSpace(p.out.String()), "perijove: this image cannot wait: "+c.says) {
				t.Errorf("exit code %d, want %d:\n%s", code, order.ExitUnfit, p.out)
			}
		})
	}
	t.Run("negative control: without the watch", func(t *testing.T) {
		p := newPod(t, earlyIn(early, map[string]string{"if LATE.fullmatch(name):\n            frame": "if False:\n            frame"}))
		base := p.serve(server.ID{User: "alice"})
		if _, user := ask(t, "GET", base+"early", gateway()); user != "nobody" {
			t.Errorf("the extension knows %q", user)
		}
	})
}

// earlyIn is a pod whose image has the extension early.
func earlyIn(code string, replaced map[string]string) recipe {
	return recipe{code: replaced, files: map[string]string{
		"etc/jupyter/jupyter_server_config.d/early.json": `{"ServerApp": {"jpserver_extensions": {"early": true}}}`,
		"bin/early.py": code,
	}}
}

// TestCommandsThatCannotWait: what is wrong with the profile or its image is the process's last line.
func TestCommandsThatCannotWait(t *testing.T) {
	for name, c := range map[string]struct {
		recipe recipe
		code   int
		says   string
	}{
		"another program":    {recipe{command: []string{"start-notebook.sh"}}, order.ExitCommand, "is not a command that starts JupyterLab"},
		"not in the image":   {recipe{command: []string{"/opt/jupyter-lab"}}, order.ExitCommand, "is not in this image"},
		"a broken image":     {recipe{files: map[string]string{"bin/jupyterlab.py": "1 / 0"}}, order.ExitUnfit, "cannot be imported"},
		"a broken list":      {recipe{files: map[string]string{"share/jupyter/preload.json": "{"}}, order.ExitUnfit, "preload.json"},
		"no key":             {recipe{env: []string{order.EnvKey + "="}}, order.ExitCommand, order.EnvKey},
		"no certificate":     {recipe{env: []string{"PERIJOVE_PROOF=/nowhere"}}, order.ExitPort, "cannot listen"},
		"a home never comes": {recipe{code: map[string]string{"HOME_SECONDS = 20": "HOME_SECONDS = 1"}}, order.ExitHome, "did not come within 1 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t, c.recipe)
			if c.code == order.ExitHome {
				p.ready(http.DefaultClient)
				if err := order.Send(t.Context(), http.DefaultClient, p.origin, orderKey, p.orderFor(server.ID{User: "alice"})); err != nil {
					t.Fatal(err)
				}
			}
			if code := p.exit(); code != c.code || !strings.Contains(lastLine(p.out.String()), c.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", code, c.code, c.says, p.out)
			}
		})
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndex(text, "\n")+1:]
}

// TestWaitingProcessEndsWhenAsked: a pod of a pool that is deleted does not use up its time.
func TestWaitingProcessEndsWhenAsked(t *testing.T) {
	p := newPod(t, recipe{})
	p.ready(http.DefaultClient)
	p.stop()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestWaitsWithThePythonOfItsCommand: the Python of a virtual environment or of Conda, whichever python3 comes first.
func TestWaitsWithThePythonOfItsCommand(t *testing.T) {
	p := newPod(t, recipe{at: "/usr/bin/python3", command: []string{"jupyter", "lab"}})
	p.ready(http.DefaultClient)
	running, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.cmd.Process.Pid))
	if python := filepath.Join(p.image, "bin/python3"); err != nil || !strings.HasPrefix(string(running), python+"\x00") {
		t.Errorf("%q runs, want %s: %v", running, python, err)
	}
	p.serve(server.ID{User: "alice"})
}
