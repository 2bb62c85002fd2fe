package app

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/perijove/perijove/deploy/onenode/layout"
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

// A wrong number of nodes is refused before anything is built, with what is allowed.
func TestNumberOfNodes(t *testing.T) {
	for _, count := range []string{"0", "-1", "x", "", "6", "1.5", "99999999999999999999"} {
		var out, errs bytes.Buffer
		if code := Main(t.Context(), []string{"--state", t.TempDir(), "--nodes", count, "up"}, &out, &errs); code != 2 || !strings.Contains(errs.String(), "from 1 to 5") {
			t.Errorf("%q: exit code %d, %q", count, code, errs.String())
		}
	}
	for _, count := range []string{"1", "5"} {
		if c, _, _, err := parse([]string{"--nodes", count, "kubeconfig"}, io.Discard); err != nil || fmt.Sprint(c.nodes) != count {
			t.Errorf("%q: %d, %v", count, c.nodes, err)
		}
	}
}

// What is there decides when no number is said; nodes with a higher number than is said have to go.
func TestSettleNodes(t *testing.T) {
	for _, test := range []struct {
		there   []string
		said    int
		nodes   int
		surplus []int
	}{
		{nil, 0, 1, nil},
		{nil, 3, 3, nil},
		{[]string{"2", "3"}, 0, 3, nil},
		{[]string{"2", "3"}, 1, 1, []int{2, 3}},
		{[]string{"2", "notes"}, 2, 2, nil},
	} {
		c := command{layout: layout.Layout{State: t.TempDir()}, nodes: test.said}
		for _, name := range test.there {
			if err := os.MkdirAll(filepath.Join(c.layout.Further(), name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		surplus, err := c.settleNodes()
		if err != nil {
			t.Fatal(err)
		}
		var numbers []int
		for _, n := range surplus {
			numbers = append(numbers, n.Number)
		}
		if c.nodes != test.nodes || !slices.Equal(numbers, test.surplus) {
			t.Errorf("%v, %d said: %d nodes and %v too many", test.there, test.said, c.nodes, numbers)
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
