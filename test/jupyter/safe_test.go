package jupyter

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestSafeStart: a home that keeps Jupyter from starting does not keep a safe start from it.
func TestSafeStart(t *testing.T) {
	for name, ruin := range map[string]func(home string) error{
		"configuration that ends the server": func(home string) error {
			return os.WriteFile(filepath.Join(home, ".jupyter", "jupyter_server_config.py"), []byte("raise SystemExit('ruined')"), 0o600)
		},
		"no place for runtime files": func(home string) error {
			return os.WriteFile(filepath.Join(home, ".local"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if answers(t, ruin, spawn.Options{}) {
				t.Error("negative control: this home keeps no server from starting")
			}
			if !answers(t, ruin, spawn.Options{Safe: true}) {
				t.Error("a safe start does not answer")
			}
		})
	}
}

// answers reports whether a server with a ruined home starts and shows the home's files.
func answers(t *testing.T, ruin func(home string) error, o spawn.Options) bool {
	t.Helper()
	id := server.ID{User: "alice"}
	cmd, out, origin := command(t, id, append(chosen(t, id, o), "PERIJOVE_SERVER_SECRET="+secret)...)
	if err := os.Mkdir(filepath.Join(cmd.Dir, ".jupyter"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ruin(cmd.Dir); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		wait.Closed(t, "the server ends", ended)
	}()
	up, over := false, false
	wait.Poll(time.Minute, func() bool {
		select {
		case <-ended:
			over = true
		default:
		}
		resp, err := http.Get(origin + id.Prefix() + "api")
		if err == nil {
			up = resp.StatusCode == http.StatusOK
			_ = resp.Body.Close()
		}
		return up || over
	})
	if o.Safe && !up {
		t.Log(out)
	}
	if up {
		if code, body := ask(t, "GET", origin+id.Prefix()+"api/contents", gateway()); code != http.StatusOK {
			t.Errorf("the home's files: %d %s", code, body)
		}
	}
	return up
}

// chosen is what a start with options adds to the environment, its folder moved into one of
// the test.
func chosen(t *testing.T, id server.ID, o spawn.Options) (env []string) {
	t.Helper()
	folder := t.TempDir()
	for _, e := range spawn.Pod(spawn.Site{}, spawn.Spec{ID: id, Options: o}).Spec.Containers[0].Env {
		if e.Name != "HOME" && e.Name != "JUPYTER_CONFIG_PATH" && !strings.HasPrefix(e.Name, "PERIJOVE_") {
			env = append(env, e.Name+"="+strings.Replace(e.Value, "/tmp/", folder+"/", 1))
		}
	}
	return env
}
