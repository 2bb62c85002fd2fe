package jupyter

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/logs"
	"github.com/perijove/perijove/test/ports"
	"github.com/perijove/perijove/test/wait"
)

const (
	waitingFile = "../../deploy/chart/files/waiting.py"
	emptySource = "perijove-home" // what the driver of late homes calls its empty folders
)

var orderKey = contract.OrderKey(bytes.Repeat([]byte("k"), 32), "ns", "pool-small-0", "n1")

// image makes a folder with the notebook image's packages in which Python looks at a user's own packages too, as in an
// image, and returns it.
func image(t *testing.T) string {
	t.Helper()
	from, dir := venv(t), t.TempDir()
	python := filepath.Join(dir, "bin/python3")
	quickLab, err := os.ReadFile(quick[1])
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(filepath.Join(from, "pyvenv.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{
		"pyvenv.cfg":      strings.Replace(string(settings), "system-site-packages = false", "system-site-packages = true", 1),
		"bin/jupyter-lab": "#!" + python + "\nimport sys\nfrom jupyterlab.labapp import main\nif __name__ == '__main__':\n    sys.exit(main())\n",
		"bin/quick-lab":   strings.Replace(string(quickLab), "#!/usr/bin/python3", "#!"+python, 1),
	})
	real, err := filepath.EvalSymlinks(filepath.Join(from, "bin/python3"))
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"bin/python3": real, "bin/python": real, "lib": filepath.Join(from, "lib")}
	for _, folder := range []string{"share/jupyter", "etc/jupyter/jupyter_server_config.d"} { // a test adds to them
		entries, err := os.ReadDir(filepath.Join(from, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			links[filepath.Join(folder, entry.Name())] = filepath.Join(from, folder, entry.Name())
		}
	}
	for name, target := range links {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.Symlink(target, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"jupyter-lab", "quick-lab"} {
		if err := os.Chmod(filepath.Join(dir, "bin", name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pod is a process of a pool with its own mounts.
type pod struct {
	t      *testing.T
	image  string
	dir    string // where the home is mounted
	home   string // the user's files
	origin string
	cmd    *exec.Cmd
	out    *logs.Buffer
	ended  chan struct{}
}

// recipe is what a test changes of a pod.
type recipe struct {
	command []string          // quick-lab
	code    map[string]string // texts of waiting.py that are replaced
	env     []string          // beside what every pod of a pool has
	at      string            // the interpreter that runs waiting.py; the image's
	here    bool              // the home is there from the beginning
	files   map[string]string // of the image's folder
	like    *pod              // its image and home are used, as they are now
	cold    bool              // no process waits: the server is started, with the environment env alone
}

// newPod starts a process that waits. Until its home comes, an empty file system lies there, which it could write to.
func newPod(t *testing.T, r recipe) *pod {
	t.Helper()
	p := &pod{t: t, out: &logs.Buffer{}, ended: make(chan struct{})}
	if r.like != nil {
		p.image, p.dir, p.home = r.like.image, r.like.dir, r.like.home
	} else {
		p.image, p.dir, p.home = image(t), t.TempDir(), t.TempDir()
	}
	port := ports.Free(t)
	for name, text := range r.files {
		writeFiles(t, p.image, map[string]string{name: strings.ReplaceAll(text, `"--no-browser"`, fmt.Sprintf(`"--no-browser", "--allow-root", "--ServerApp.port=%d"`, port))})
	}
	p.origin = fmt.Sprintf("http://127.0.0.1:%d", port)
	if r.command == nil {
		r.command = []string{"quick-lab"}
	}
	args := r.command
	env := []string{"PATH=" + filepath.Join(p.image, "bin") + ":/usr/bin:/bin"}
	if !r.cold {
		args = append([]string{cmp.Or(r.at, filepath.Join(p.image, "bin/python3")), p.program(port, r.code), "--"}, args...)
		env = append(env, "HOME="+p.dir, "JUPYTER_CONFIG_PATH="+chartFiles(t), order.EnvKey+"="+orderKey)
	}
	if len(r.command) > 0 {
		args = append(args, "--allow-root", fmt.Sprintf("--ServerApp.port=%d", port))
	}
	source := "mount -t tmpfs -o size=1m " + emptySource + ` "$0"`
	if r.here || r.cold {
		source = "mount --bind '" + p.home + `' "$0"`
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	p.cmd = exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--propagation", "private", "sh", "-c", source + ` && cd "$0" && exec "$@"`, p.dir}, args...)...)
	p.cmd.Env = append(env, r.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit code is asked for below
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	return p
}

// program writes waiting.py for another port, and with texts of the test.
func (p *pod) program(port int, code map[string]string) string {
	p.t.Helper()
	text, err := os.ReadFile(waitingFile)
	if err != nil {
		p.t.Fatal(err)
	}
	changes := map[string]string{"PORT = 8888": fmt.Sprintf("PORT = %d", port)}
	maps.Copy(changes, code)
	for before, after := range changes {
		if strings.Count(string(text), before) != 1 {
			p.t.Fatalf("waiting.py has not exactly one %q", before)
		}
		text = bytes.Replace(text, []byte(before), []byte(after), 1)
	}
	dir := p.t.TempDir()
	writeFiles(p.t, dir, map[string]string{"waiting.py": string(text)})
	return filepath.Join(dir, "waiting.py")
}

func chartFiles(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../deploy/chart/files")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (p *pod) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	<-p.ended
	late.Stop()
	if p.t.Failed() {
		p.t.Log(p.out)
	}
	for name, value := range map[string]string{"secret": secret, "order key": orderKey} {
		if strings.Contains(p.out.String(), value) {
			p.t.Errorf("the %s is in the log", name)
		}
	}
}

// ready waits until the process waits.
func (p *pod) ready(client *http.Client) {
	p.t.Helper()
	var last error
	if !wait.Poll(time.Minute, func() bool {
		last = order.Ready(p.t.Context(), client, p.origin, orderKey)
		return last == nil || p.over()
	}) || last != nil {
		p.t.Fatalf("the pod is not ready: %v\n%s", last, p.out)
	}
}

func (p *pod) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// exit waits for the end and returns the exit code.
func (p *pod) exit() int {
	p.t.Helper()
	wait.Closed(p.t, "the process ends", p.ended)
	return p.cmd.ProcessState.ExitCode()
}

// orderFor is what the spawner orders for a server.
func (p *pod) orderFor(id server.ID, more ...string) order.Order {
	o := order.Order{Home: p.dir, Late: emptySource, Env: map[string]string{
		"HOME": p.dir, "JUPYTER_CONFIG_PATH": chartFiles(p.t), "JUPYTERHUB_USER": id.User, "JUPYTERHUB_SERVICE_PREFIX": id.Prefix(),
		"PERIJOVE_BASE_URL": id.Prefix(), "PERIJOVE_USER": id.User, "PERIJOVE_SERVER_SECRET": secret,
	}}
	for i := 0; i+1 < len(more); i += 2 {
		o.Env[more[i]] = more[i+1]
	}
	return o
}

// mount gives the process the user's home.
func (p *pod) mount() {
	p.t.Helper()
	cmd := exec.Command("nsenter", "-t", fmt.Sprint(p.cmd.Process.Pid), "-m", "mount", "--bind", p.home, p.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("mount the home: %v\n%s", err, out)
	}
}

// serve orders a server, gives it its home, and returns its base URL once it answers.
func (p *pod) serve(id server.ID, more ...string) string {
	p.t.Helper()
	p.ready(http.DefaultClient)
	if err := order.Send(p.t.Context(), http.DefaultClient, p.origin, orderKey, p.orderFor(id, more...)); err != nil {
		p.t.Fatal(err)
	}
	p.mount()
	return p.answers(http.DefaultClient, id)
}

func (p *pod) answers(client *http.Client, id server.ID) string {
	p.t.Helper()
	if !wait.Poll(time.Minute, func() bool {
		resp, err := client.Get(p.origin + id.Prefix() + "api")
		if err != nil {
			return p.over()
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}) || p.over() {
		p.t.Fatalf("the server does not answer:\n%s", p.out)
	}
	return p.origin + id.Prefix()
}

// anew says whether the server is a process that has not waited.
func (p *pod) anew() bool { return strings.Contains(p.out.String(), "starts anew") }
