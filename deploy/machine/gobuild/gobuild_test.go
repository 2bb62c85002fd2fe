package gobuild

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write puts files into a new folder, as a module.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.org/x\n\ngo 1.26.0\n"
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRun(t *testing.T) {
	t.Setenv("GOFLAGS", "-tags=wrong") // a developer's settings must not reach the build
	dir := write(t, map[string]string{
		"main.go":    "package main\n\nimport \"example.org/x/part\"\n\nfunc main() { print(part.Text, tag) }\n",
		"plain.go":   "//go:build !wrong && right\n\npackage main\n\nconst tag = \"right\"\n",
		"part/p.go":  "package part\n\n// new for the build cache: " + time.Now().String() + "\nvar Text = \"?\"\n",
		"part/no.go": "//go:build wrong\n\npackage part\n\nvar Text = \"twice\"\n",
	})
	out := filepath.Join(t.TempDir(), "program")
	build := Build{Dir: dir, Tags: "right", Link: []string{"-X=example.org/x/part.Text=linked"}, Out: out, Packages: []string{"."}}
	stale, err := build.stale(t.Context(), io.Discard, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if stale["example.org/x/part"] == 0 {
		t.Errorf("waiting to be compiled: %v", stale)
	}
	if err := build.Run(t.Context(), io.Discard, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got, err := exec.Command(out).CombinedOutput(); err != nil || string(got) != "linkedright" {
		t.Errorf("the program prints %q, %v", got, err)
	}
	stale, err = build.stale(t.Context(), io.Discard, func(string) {})
	if diff := cmp.Diff(map[string]int64{}, stale); err != nil || diff != "" {
		t.Errorf("after the build: %v %s", err, diff)
	}
}

func TestRunSaysWhatTheCompilerSays(t *testing.T) {
	dir := write(t, map[string]string{"main.go": "package main\n\nfunc main() { nonsense() }\n"})
	var log strings.Builder
	err := Build{Dir: dir, Out: filepath.Join(t.TempDir(), "program"), Packages: []string{"."}}.Run(t.Context(), &log, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("err = %v", err)
	}
	if !strings.Contains(log.String(), "undefined: nonsense") {
		t.Errorf("log = %s", log.String())
	}
}

// Two builds at once would compile what they share twice.
func TestLock(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	unlock, err := lock(t.Context(), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	said := ""
	if _, err := lock(ctx, func(text string) { said = text; cancel() }); err == nil {
		t.Error("two hold the lock")
	}
	if said == "" {
		t.Error("the one that waits does not say so")
	}
	unlock()
	unlock, err = lock(t.Context(), func(string) {})
	if err != nil {
		t.Fatalf("the lock outlives its holder: %v", err)
	}
	unlock()
}

func TestProgress(t *testing.T) {
	start := time.Now()
	waiting := map[string]int64{"fmt": 100, "example.org/big": 2800, "example.org/small": 100}
	for i := range 1000 {
		waiting["example.org/tiny"+thousands(i)] = 0
	}
	p := newProgress(waiting, start)
	for _, step := range []struct {
		line  string
		after time.Duration
		known bool
		want  string
	}{
		{"# example.org/big", 0, false, "0 of 1,003 packages compiled"},
		{"fmt", time.Second, true, "1 of 1,003 packages compiled, about 30 s left"},
		{"example.org/command", time.Second, true, "1 of 1,003 packages compiled, about 30 s left"},
		{"example.org/small", 10 * time.Second, true, "2 of 1,003 packages compiled, about 2 min left"},
		{"example.org/big", 60 * time.Second, true, "3 of 1,003 packages compiled, about 10 s left"},
	} {
		if known := p.compiled(step.line); known != step.known {
			t.Errorf("%s: compiled = %v", step.line, known)
		}
		if got := p.text(start.Add(step.after)); got != step.want {
			t.Errorf("after %s: %q, want %q", step.line, got, step.want)
		}
	}
	for i := range 1000 {
		p.compiled("example.org/tiny" + thousands(i))
	}
	if got := p.text(start); got != "all 1,003 packages compiled, linking" {
		t.Errorf("in the end: %q", got)
	}
}

func TestDownloads(t *testing.T) {
	var said []string
	d := &downloads{say: func(text string) { said = append(said, text) }, most: 1200} // nothing was said yet: the first line is due
	for _, line := range []string{"go: downloading a v1\ngo: downloading b v1\n", "go: downloading c v1\n"} {
		if _, err := d.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"2 of at most 1,200 modules downloaded"}, said); diff != "" {
		t.Errorf("said at once (want one line in 20 s): %s", diff)
	}
	if got := d.text(); got != "3 of at most 1,200 modules downloaded" {
		t.Errorf("counted: %q", got)
	}
}

func TestModules(t *testing.T) {
	dir := write(t, map[string]string{"go.sum": "", "other.mod": "module x\n\nrequire (\n\ta.example/a v1.0.0\n\tb.example/b v1.0.0 // indirect\n)\n"})
	for file, want := range map[string]int{"": 0, "other.mod": 2} {
		if got, err := (Build{Dir: dir, Modfile: file}).modules(); err != nil || got != want {
			t.Errorf("%q lists %d modules, %v; want %d", file, got, err, want)
		}
	}
}

func TestRoot(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "deploy/machine/gobuild/gobuild_test.go")); err != nil {
		t.Error(err)
	}
	t.Chdir(t.TempDir())
	if root, err := Root(); err == nil {
		t.Errorf("outside of a checkout it found %s", root)
	}
}
