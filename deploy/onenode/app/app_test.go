package app

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{}, {"nonsense"}, {"up", "extra"}, {"load"}, {"--nonsense", "up"}, {"kubeconfig", "extra"}} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), args, &out, &errs); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if !strings.Contains(errs.String(), "Usage: onenode") {
			t.Errorf("%v: no usage in %q", args, errs.String())
		}
	}
}

func TestKubeconfigPath(t *testing.T) {
	var out, errs bytes.Buffer
	folder := t.TempDir()
	if code := Main(t.Context(), []string{"--state", folder, "kubeconfig"}, &out, &errs); code != 0 || out.String() != folder+"/kubeconfig\n" {
		t.Errorf("exit code %d, %q %q", code, out.String(), errs.String())
	}
}

func TestStatusAndDownWithoutNode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("these commands need root")
	}
	var out, errs bytes.Buffer
	folder := filepath.Join(t.TempDir(), "state")
	if code := Main(t.Context(), []string{"--state", folder, "status"}, &out, &errs); code != 1 || !strings.Contains(errs.String(), "onenode up") {
		t.Errorf("status: exit code %d, %q", code, errs.String())
	}
	errs.Reset()
	if code := Main(t.Context(), []string{"--state", folder, "down"}, &out, &errs); code != 0 {
		t.Errorf("down: exit code %d, %q", code, errs.String())
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("old line\n", 20000)+"a\nb\nc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := tail(path, 2); got != "  b\n  c\n" {
		t.Errorf("got %q", got)
	}
	if got := tail(path+".none", 2); !strings.Contains(got, "no such file") {
		t.Errorf("got %q", got)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := tryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tryLock(path); err == nil {
		t.Error("two hold the lock")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := tryLock(path)
	if err != nil {
		t.Errorf("the lock outlives its holder: %v", err)
	}
	_ = second.Close() // the test ends
}

func TestDaemonsInheritNoFiles(t *testing.T) {
	// As a shell or flock(1) opens it: without close-on-exec.
	number, err := syscall.Open(filepath.Join(t.TempDir(), "lock"), syscall.O_CREAT|syscall.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(number) })
	inherits := func() bool { return exec.Command("test", "-e", fmt.Sprintf("/proc/self/fd/%d", number)).Run() == nil }
	if !inherits() {
		t.Fatal("a child does not have the file in any case: this test proves nothing")
	}
	if err := closeInheritedOnExec(); err != nil {
		t.Fatal(err)
	}
	if inherits() {
		t.Error("a child has the file of the caller")
	}
}
