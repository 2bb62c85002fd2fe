package space

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountPoints(t *testing.T) {
	const mountinfo = `23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
41 23 0:38 / /var/lib/node/with\040blank rw,relatime shared:2 - tmpfs tmpfs rw
nonsense
`
	if got, want := MountPoints(mountinfo), []string{"/", "/var/lib/node/with blank"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
}

// network makes a network namespace that ends with the test.
func network(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "node", "network")
	made, err := MakeNetwork(file)
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
	return file
}

// interfaces are those of the network namespace of the calling thread.
func interfaces(t *testing.T) []string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Error(err)
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

func TestNetwork(t *testing.T) {
	needRoot(t)
	file := network(t)
	if made, err := MakeNetwork(file); made || err != nil {
		t.Errorf("again: made %v, %v", made, err)
	}
	outside := interfaces(t)
	var inside []string
	var program []byte
	err := Inside(file, func() (err error) {
		inside = interfaces(t)
		program, err = exec.Command("cat", "/proc/net/dev").Output()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(inside, []string{"lo"}) || strings.Count(string(program), ":") != 1 {
		t.Errorf("inside are %v, a program sees\n%s", inside, program)
	}
	if after := interfaces(t); !slices.Equal(outside, after) {
		t.Errorf("outside were %v and are %v", outside, after)
	}
	fault := errors.New("fault")
	if err := Inside(file, func() error { return fault }); !errors.Is(err, fault) {
		t.Errorf("err = %v", err)
	}
	empty := filepath.Join(t.TempDir(), "network")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Inside(empty, func() error { return nil }); err == nil {
		t.Error("a file that holds no namespace was entered")
	}
}

// TestExec starts this test again as another process, which becomes a shell with its own network and its own view of the files.
func TestExec(t *testing.T) {
	needRoot(t)
	if file := os.Getenv("SPACE_TEST_NETWORK"); file != "" {
		state := os.Getenv("SPACE_TEST_STATE")
		mounts := &Mounts{State: state, Share: state + "/share", From: state + "/from", At: state + "/at"}
		t.Fatal(Exec(file, mounts, []string{"/bin/sh", "-c", os.Getenv("SPACE_TEST_SCRIPT")}, os.Environ()))
	}
	file, state := network(t), t.TempDir()
	for _, name := range []string{"from", "at", "other", "share/in", "share/out"} {
		if err := os.MkdirAll(filepath.Join(state, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"from/seen", "at/hidden"} {
		if err := os.WriteFile(filepath.Join(state, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mount := func(at string) {
		if err := unix.Mount("tmpfs", filepath.Join(state, at), "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(filepath.Join(state, at), unix.MNT_DETACH) })
	}
	mount("other")
	for range 2 { // a second time changes nothing
		if err := ShareMounts(filepath.Join(state, "share")); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(state, "share"), unix.MNT_DETACH) })
	mount("share/in")
	cmd := exec.Command(os.Args[0], "-test.run=^TestExec$")
	cmd.Env = append(os.Environ(), "SPACE_TEST_NETWORK="+file, "SPACE_TEST_STATE="+state,
		`SPACE_TEST_SCRIPT=cd "$SPACE_TEST_STATE" && ls at && grep -c : /proc/net/dev && mount -t tmpfs out share/out && grep -o "$SPACE_TEST_STATE[^ ]* " /proc/self/mountinfo`)
	out, err := cmd.CombinedOutput()
	t.Cleanup(func() { _ = unix.Unmount(filepath.Join(state, "share", "out"), unix.MNT_DETACH) })
	text := strings.ReplaceAll(string(out), state, "")
	if err != nil || !strings.HasPrefix(text, "seen\n1\n") {
		t.Fatalf("%v\n%s", err, text)
	}
	if strings.Contains(text, "/other ") {
		t.Errorf("a mount of another node is in the view:\n%s", text)
	}
	if !strings.Contains(text, "/share/in ") {
		t.Errorf("a mount of the machine is not shared:\n%s", text)
	}
	points, err := mountPoints()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(points, filepath.Join(state, "share", "out")) {
		t.Error("the machine does not see a mount of the program, so containers would not have their volumes")
	}
	if slices.Contains(points, filepath.Join(state, "at")) {
		t.Error("the machine sees the program's own view")
	}
}
