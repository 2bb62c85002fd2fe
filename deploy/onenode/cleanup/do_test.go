package cleanup

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// KillAll must find a process by its mark alone, and leave one of another state folder alone.
func TestKillAllByMark(t *testing.T) {
	start := func(mark string) *exec.Cmd {
		cmd := exec.Command("sleep", "60")
		cmd.Env = append(os.Environ(), layout.Marker+"="+mark)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may be dead: that is what is tested
		return cmd
	}
	folder := t.TempDir()
	ours, theirs := start(folder), start(folder+"-other")
	waitForMark(t, ours, folder)
	waitForMark(t, theirs, folder+"-other")
	if err := KillAll(layout.Layout{State: folder}, false); err != nil {
		t.Fatal(err)
	}
	if err := ours.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("our process ended with %v", err)
	}
	if pids, err := marked(layout.Layout{State: folder + "-other"}, "", func(string) bool { return true }); err != nil || len(pids) != 1 {
		t.Errorf("the other's process is gone: %v %v", pids, err)
	}
}

// waitForMark waits until the child has replaced itself by the program: before, /proc shows the test's own environment.
func waitForMark(t *testing.T, cmd *exec.Cmd, mark string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if pids, err := marked(layout.Layout{State: mark}, "", func(string) bool { return true }); err == nil && len(pids) == 1 && pids[0] == cmd.Process.Pid {
			return
		}
	}
	t.Fatalf("process %d does not show its mark", cmd.Process.Pid)
}

func TestRemoveFolders(t *testing.T) {
	root := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(root, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeFolders(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Error("the tree is still there")
	}
	if err := removeFolders(root); err != nil {
		t.Errorf("a tree that is gone: %v", err)
	}
}

func TestDoGoesOnAfterAFailure(t *testing.T) {
	folder := t.TempDir()
	state, busy := filepath.Join(folder, "state"), filepath.Join(folder, "busy")
	for _, path := range []string{state, filepath.Join(busy, "full")} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	err := Do(Plan{Remove: []string{busy, filepath.Join(folder, "gone")}, RemoveEmpty: []string{busy}, RemoveState: state})
	if err == nil || !strings.Contains(err.Error(), busy) || strings.Contains(err.Error(), "gone") {
		t.Errorf("got %v; want the file that could not be removed, and not the one that was not there", err)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Error("the state folder stayed because of another failure")
	}
	if _, err := os.Stat(filepath.Join(busy, "full")); err != nil {
		t.Error("a folder that is not empty was removed")
	}
}

func TestDeadSockets(t *testing.T) {
	folder := t.TempDir()
	alive, dead := filepath.Join(folder, "alive"), filepath.Join(folder, "dead")
	for _, path := range []string{alive, dead} {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		if path == dead {
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		defer listener.Close()
	}
	if got := deadSockets([]string{alive, dead, filepath.Join(folder, "none")}); !slices.Equal(got, []string{dead}) {
		t.Errorf("dead: %v", got)
	}
}
