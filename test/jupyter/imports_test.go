package jupyter

import (
	"io/fs"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// begun starts a server, asks for its first page, and ends it. It returns what it wrote, and its home.
func begun(t *testing.T, program []string, env ...string) (output, home string) {
	t.Helper()
	id := server.ID{User: "alice"}
	cmd, out, origin := commandOf(t, program, id, append([]string{"PERIJOVE_SERVER_SECRET=" + secret}, env...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := wait.Poll(time.Minute, func() bool {
		resp, err := http.Get(origin + id.Prefix() + "api")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if answers {
		if status, _ := ask(t, "GET", origin+id.Prefix()+"lab", gateway()); status != http.StatusOK {
			t.Errorf("the page answers %d", status)
		}
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait() // it was asked to end
	if !answers {
		t.Fatalf("the server does not answer:\n%s", out)
	}
	return out.String(), cmd.Dir
}

// imported returns the modules that a server has imported when it answers its first page, as Python itself lists them
// (PYTHONPROFILEIMPORTTIME).
func imported(t *testing.T, program []string) map[string]bool {
	t.Helper()
	out, _ := begun(t, program, "PYTHONPROFILEIMPORTTIME=1")
	modules := map[string]bool{}
	for line := range strings.Lines(out) {
		if times, found := strings.CutPrefix(line, "import time:"); found {
			modules[strings.TrimSpace(times[strings.LastIndex(times, "|")+1:])] = true
		}
	}
	return modules
}

// TestStartLoadsLittle: what no first page needs stays out of a start. Python lists a module that it looked for in vain
// too, and one that waits for its first use, but no part of them: so parts are named here.
func TestStartLoadsLittle(t *testing.T) {
	// Packages that are not in the image, see deploy/images/notebook/excludes.txt: jsonschema would import them wherever
	// they are. rfc3987_syntax builds a grammar with lark, which was half of every start.
	absent := []string{"rfc3987_syntax.syntax_helpers", "lark", "isoduration.parser", "arrow.arrow", "webcolors._definitions", "fqdn._compat"}
	// What quick-lab puts off.
	later := []string{"urllib3", "requests.adapters", "websocket._core", "httpcore", "h11"}
	// What JupyterLab itself puts off: a new version that does not would be noticed here.
	never := []string{"nbconvert", "jedi", "debugpy", "ipykernel.kernelapp", "argon2", "bs4"}

	few := imported(t, quick)
	for _, control := range []string{"jupyter_events", "jsonschema", "rfc3986_validator", "requests", "httpx"} {
		if !few[control] {
			t.Errorf("%s was not imported: the list of %d modules proves nothing", control, len(few))
		}
	}
	for _, name := range slices.Concat(absent, later, never) {
		if few[name] {
			t.Errorf("%s was imported by a start", name)
		}
	}
	many := imported(t, plain)
	for _, name := range later {
		if !many[name] {
			t.Errorf("negative control: %s is not imported by jupyter lab either", name)
		}
	}
	t.Logf("%d modules, and %d with jupyter lab", len(few), len(many))
}

// written returns the files below dir that have changed since a moment, relative to dir.
func written(t *testing.T, dir string, since time.Time) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().After(since) {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestStartWritesLittle: a start writes nothing beside Jupyter's files of its run, which it removes, and the key of its
// cookies. A home may be on a slow volume, and the image may be one that cannot be written.
func TestStartWritesLittle(t *testing.T) {
	packages := venv(t)
	path := "PATH=" + filepath.Join(packages, "bin") // the image has no npm, which jupyter-lsp would run
	begin := time.Now().Add(-time.Second)            // clocks of file systems are coarse
	_, home := begun(t, quick, path)
	const key = ".local/share/jupyter/runtime/jupyter_cookie_secret"
	if names := written(t, home, begin); !slices.Equal(names, []string{key}) {
		t.Errorf("a start leaves %v in the home, want %s", names, key)
	}
	if names := written(t, packages, begin); len(names) > 0 {
		t.Errorf("a start writes %v beside the packages", names)
	}
	// Bytecode that has to be made, as in an image without any.
	bytecode := t.TempDir()
	cmd := exec.Command(filepath.Join(packages, "bin", "python3"), "-c", "import argparse")
	cmd.Env = []string{"PYTHONPYCACHEPREFIX=" + bytecode}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(written(t, bytecode, begin)) == 0 {
		t.Error("negative control: Python writes no bytecode")
	}
}
