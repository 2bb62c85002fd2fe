package jupyter

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

// listed is what an image says of itself.
type listed struct {
	Command []string `json:"command"`
	Modules []string `json:"modules,omitempty"`
}

// list runs the program that the image's build runs, and returns the file that it writes.
func list(t *testing.T, image string) string {
	t.Helper()
	program, err := filepath.Abs("../../deploy/images/notebook/list-modules")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "preload.json")
	cmd := exec.Command(filepath.Join(image, "bin/python3"), "-B", program, file, "quick-lab", "--no-browser")
	cmd.Env = []string{"PATH=" + filepath.Join(image, "bin"), "HOME=" + t.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestModulesOfAStart: the list is the same at each build, has what a start imports and nothing that it puts off, and a
// process that waits with it has imported what its server answers the first page with.
func TestModulesOfAStart(t *testing.T) {
	dir := image(t)
	text := list(t, dir)
	if again := list(t, dir); again != text {
		t.Error("two lists of one image differ")
	}
	var l listed
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	if want := []string{"quick-lab", "--no-browser"}; !slices.Equal(l.Command, want) {
		t.Errorf("the command is %q, want %q", l.Command, want)
	}
	for name, want := range map[string]bool{"jupyterlab.labapp": true, "jupyter_lsp": true, "jupyterlab_server.handlers": true, "requests": false, "__main__": false} {
		if slices.Contains(l.Modules, name) != want {
			t.Errorf("%s is listed: %v", name, !want)
		}
	}

	p := newPod(t, recipe{files: map[string]string{"share/jupyter/preload.json": text}, env: []string{"PYTHONPROFILEIMPORTTIME=1"}})
	writeFiles(t, p.home, map[string]string{"mine.txt": ""})
	base := p.serve(server.ID{User: "alice"})
	if status, _ := ask(t, "GET", base+"lab", gateway()); status != 200 {
		t.Errorf("the page answers %d", status)
	}
	_, late, _ := strings.Cut(p.out.String(), "waits for its order")
	if n := strings.Count(late, "import time:"); n > 10 {
		t.Errorf("%d modules were imported after the order:\n%s", n, late)
	}
	if before, _, _ := strings.Cut(p.out.String(), "waits for its order"); !strings.Contains(before, "jupyterlab_server.handlers") {
		t.Error("negative control: the imports before the order are not seen")
	}
}

// TestCommandOfTheImage: a profile without a command has the one that the image's list names.
func TestCommandOfTheImage(t *testing.T) {
	file, err := json.Marshal(listed{Command: []string{"jupyter-lab", "--no-browser"}})
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(t, recipe{command: []string{}, files: map[string]string{"share/jupyter/preload.json": string(file)}})
	p.serve(server.ID{User: "alice"})
}
