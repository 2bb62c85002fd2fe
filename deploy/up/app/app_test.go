package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/images/output"
)

func testUp(t *testing.T) (*up, *bytes.Buffer) {
	out := &bytes.Buffer{}
	dir := t.TempDir()
	return &up{root: "../../..", cache: dir, logs: dir, console: &console{out: out, start: time.Now()}}, out
}

func TestFailedStepSaysWhatToDo(t *testing.T) {
	u, out := testUp(t)
	cause := errors.New("exit status 1")
	err := u.run(context.Background(), step{name: "node", advice: "begin anew", do: func(_ context.Context, log *stepLog) (string, error) {
		_, _ = io.WriteString(log, "first\nkubelet: no room\n")
		return "", cause
	}})
	if !errors.Is(err, cause) {
		t.Fatalf("err = %v", err)
	}
	for _, want := range []string{"node failed: exit status 1", "| kubelet: no room", "Log: " + filepath.Join(u.logs, "node.log"), "What to do: begin anew"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if strings.Contains(out.String(), "done") {
		t.Errorf("a failed step was reported as done: %s", out)
	}
}

func TestLiveLinesReachReaderAndLog(t *testing.T) {
	u, out := testUp(t)
	err := u.run(context.Background(), step{name: "node", do: func(_ context.Context, log *stepLog) (string, error) {
		live := log.live("")
		_, _ = io.WriteString(live, "etc")
		_, _ = io.WriteString(live, "d is up\n\n  kubelet")
		_, _ = io.WriteString(live, " is up\n")
		return "fine", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		said = append(said, strings.Join(strings.Fields(line)[1:], " "))
	}
	if diff := cmp.Diff([]string{"node etcd is up", "node kubelet is up", "node done in 0.0s: fine"}, said); diff != "" {
		t.Error(diff)
	}
	if log, _ := os.ReadFile(filepath.Join(u.logs, "node.log")); string(log) != "etcd is up\n\n  kubelet is up\n" {
		t.Errorf("log = %q", log)
	}
}

func TestUnlockArgs(t *testing.T) {
	for status, want := range map[string][]string{
		`{"version":3,"info":{"status":"deployed"}}`:         nil,
		`{"version":3,"info":{"status":"failed"}}`:           nil,
		`{"version":1,"info":{"status":"pending-install"}}`:  {"uninstall", "perijove", "--wait"},
		`{"version":2,"info":{"status":"pending-upgrade"}}`:  {"rollback", "perijove"},
		`{"version":4,"info":{"status":"pending-rollback"}}`: {"rollback", "perijove"},
	} {
		got, err := unlockArgs([]byte(status))
		if err != nil {
			t.Errorf("%s: %v", status, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", status, diff)
		}
	}
	if _, err := unlockArgs([]byte("no release")); err == nil {
		t.Error("nonsense was understood")
	}
}

func TestImageValues(t *testing.T) {
	text, err := imageValues([]output.Image{{Name: "r.example/t/perijove/envoy", Tag: "1"}, {Name: "perijove/authz", Tag: "2"}, {Name: "perijove/notebook", Tag: "3"}})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	leaf := func(name, tag string) map[string]any {
		return map[string]any{"image": map[string]any{"name": name, "tag": tag}}
	}
	want := map[string]any{
		"gateway":    map[string]any{"envoy": leaf("r.example/t/perijove/envoy", "1"), "authz": leaf("perijove/authz", "2")},
		"singleuser": leaf("perijove/notebook", "3"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := imageValues([]output.Image{{Name: "perijove/unknown"}}); err == nil {
		t.Error("an image that the chart does not know was accepted")
	}
}

// Each image path is a value of the chart, so that a renamed value is noticed here.
func TestImagePathsAreInTheChart(t *testing.T) {
	text, err := os.ReadFile("../../chart/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for name, path := range imagePaths() {
		at := values
		for _, key := range path {
			at, _ = at[key].(map[string]any)
		}
		if at["name"] != "perijove/"+name {
			t.Errorf("%s: values.yaml has %v at %s", name, at["name"], strings.Join(path, "."))
		}
	}
}

func TestContextNeedsRegistry(t *testing.T) {
	u, _ := testUp(t)
	u.context = "production"
	on := u.choose(context.Background())
	if err := on.check(); err == nil || !strings.Contains(err.Error(), "REGISTRY") {
		t.Errorf("check = %v", err)
	}
	u.registry = "registry.example.org"
	if err := on.check(); err != nil {
		t.Errorf("check = %v", err)
	}
}
