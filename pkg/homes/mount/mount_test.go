package mount

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/test/mountns"
)

// The tests mount for real.
func TestMain(m *testing.M) { os.Exit(mountns.Main(m.Run)) }

// machine is an export with one home, and the kubelet's folder on a shared mount.
type machine struct{ exports, home, outside, target string }

const files = 50

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	m := machine{exports: filepath.Join(root, "exports"), outside: filepath.Join(root, "outside"), target: filepath.Join(root, "kubelet", "target")}
	m.home = filepath.Join(m.exports, "local", "alice")
	must(t, os.MkdirAll(m.home, 0o755))
	must(t, os.MkdirAll(m.outside, 0o755))
	must(t, os.WriteFile(filepath.Join(m.outside, "precious"), nil, 0o644))
	must(t, os.Mkdir(filepath.Dir(m.target), 0o755))
	for i := range files {
		must(t, os.WriteFile(filepath.Join(m.home, strconv.Itoa(i)), nil, 0o644))
	}
	must(t, os.Symlink(m.outside, filepath.Join(m.home, "link")))
	kubelet := filepath.Dir(m.target)
	must(t, mountns.Share(kubelet))
	t.Cleanup(func() { must(t, unix.Unmount(kubelet, unix.MNT_DETACH)) })
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// whole fails when a file of the home, or behind its link, is gone.
func (m machine) whole(t *testing.T, when string) {
	t.Helper()
	inside, err := os.ReadDir(m.home)
	if err != nil || len(inside) != files+1 {
		t.Fatalf("%s: %d of %d files are left, %v", when, len(inside), files+1, err)
	}
	if _, err := os.Stat(filepath.Join(m.outside, "precious")); err != nil {
		t.Fatalf("%s: %v", when, err)
	}
}

func (m machine) open(t *testing.T) *Home {
	t.Helper()
	home, err := Open(m.exports, plan.Place{Export: "local", Folder: "alice"})
	must(t, err)
	t.Cleanup(home.Close)
	return home
}

func look(t *testing.T, target string) plan.State {
	t.Helper()
	s, err := Look(target)
	must(t, err)
	if s.Bound() {
		s.Top = Identify(target)
	}
	return s
}

// A driver is killed after each number of steps, on the way up and on the way down. The next one looks, plans and goes
// on, in either direction, and no file is lost.
func TestKilledAtEveryStep(t *testing.T) {
	m := newMachine(t)
	home := m.open(t)
	up := func(limit int) (done int) {
		steps, err := plan.Publish(look(t, m.target), &home.ID)
		must(t, err)
		for _, step := range steps[:min(limit, len(steps))] {
			must(t, Do(step, m.target, home))
			m.whole(t, string(step))
			done++
		}
		return done
	}
	down := func(limit int) {
		steps := plan.Unpublish(look(t, m.target))
		for _, step := range steps[:min(limit, len(steps))] {
			must(t, Do(step, m.target, nil))
			m.whole(t, string(step))
		}
	}
	if n := up(9); n != 3 {
		t.Fatalf("publishing takes %d steps", n)
	}
	if n := up(9); n != 0 {
		t.Fatalf("publishing again takes %d steps", n)
	}
	down(9)
	for before := range 4 {
		for after := range 4 {
			up(before)
			down(after)
			up(9)
			if s := look(t, m.target); !s.Bound() || s.Top != home.ID {
				t.Errorf("killed after %d steps up and %d down: %+v", before, after, s)
			}
			if seen, err := os.ReadDir(m.target); err != nil || len(seen) != files+1 {
				t.Errorf("killed after %d and %d: the pod sees %d files, %v", before, after, len(seen), err)
			}
			down(9)
			if _, err := os.Lstat(m.target); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("killed after %d and %d: the folder stays: %v", before, after, err)
			}
		}
	}
	m.whole(t, "at the end")
}

// The empty folder takes no file, and what removes folders fails at it and at a home in its place.
func TestEmptyFolderAndHomeAreNotRemoved(t *testing.T) {
	m := newMachine(t)
	home := m.open(t)
	must(t, Do(plan.MakeFolder, m.target, nil))
	must(t, Do(plan.MountEmpty, m.target, nil))
	if err := os.WriteFile(filepath.Join(m.target, "x"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("a file in the empty folder: %v", err)
	}
	if err := Do(plan.RemoveFolder, m.target, nil); !errors.Is(err, unix.EBUSY) {
		t.Errorf("removed while mounted: %v", err)
	}
	must(t, Do(plan.BindHome, m.target, home))
	if err := Do(plan.RemoveFolder, m.target, nil); !errors.Is(err, unix.EBUSY) {
		t.Errorf("removed with a home on it: %v", err)
	}
	var stat unix.Statfs_t
	must(t, unix.Statfs(m.target, &stat))
	if stat.Flags&unix.ST_NOSUID == 0 || stat.Flags&unix.ST_NODEV == 0 || stat.Flags&unix.ST_RDONLY != 0 {
		t.Errorf("options of the home: %x", stat.Flags)
	}
	// The control of rmdir: a folder with a file in it, and nothing mounted, stays.
	must(t, Do(plan.Unmount, m.target, nil))
	must(t, Do(plan.Unmount, m.target, nil))
	must(t, os.WriteFile(filepath.Join(m.target, "x"), nil, 0o644))
	if err := Do(plan.RemoveFolder, m.target, nil); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("a folder with a file: %v", err)
	}
	m.whole(t, "at the end")
}

// A file that a process has open keeps no pod from ending, and what it writes is in the home.
func TestOpenFileKeepsNothing(t *testing.T) {
	m := newMachine(t)
	home := m.open(t)
	for _, step := range []plan.Step{plan.MakeFolder, plan.MountEmpty, plan.BindHome} {
		must(t, Do(step, m.target, home))
	}
	file, err := os.OpenFile(filepath.Join(m.target, "0"), os.O_WRONLY, 0)
	must(t, err)
	for _, step := range plan.Unpublish(look(t, m.target)) {
		must(t, Do(step, m.target, nil))
	}
	_, err = file.WriteString("late")
	must(t, errors.Join(err, file.Close()))
	if text, err := os.ReadFile(filepath.Join(m.home, "0")); err != nil || string(text) != "late" {
		t.Errorf("%q %v", text, err)
	}
}

// K4: a folder whose name holds a link, leads out of its export or onto another file system is opened for nobody.
func TestK4_NothingLeadsOut(t *testing.T) {
	m := newMachine(t)
	local := filepath.Join(m.exports, "local")
	must(t, os.Symlink(m.outside, filepath.Join(local, "bob")))
	must(t, os.Symlink("alice", filepath.Join(local, "carol")))
	must(t, os.WriteFile(filepath.Join(local, "file"), nil, 0o644))
	other := filepath.Join(local, "other")
	must(t, os.Mkdir(other, 0o755))
	must(t, unix.Mount("x", other, "tmpfs", 0, ""))
	t.Cleanup(func() { must(t, unix.Unmount(other, unix.MNT_DETACH)) })
	for folder, want := range map[string]error{
		"bob": unix.ELOOP, "carol": unix.ELOOP, "alice/link": unix.ELOOP, "alice/link/..": unix.ELOOP, "../../outside": unix.EXDEV,
		"alice/../../../outside": unix.EXDEV, "/etc": unix.EXDEV, "other": unix.EXDEV, "file": unix.ENOTDIR, "gone": unix.ENOENT,
	} {
		home, err := Open(m.exports, plan.Place{Export: "local", Folder: folder})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", folder, err, want)
		}
		if err == nil {
			home.Close()
		}
	}
	// A home that becomes a link after it was opened: what is mounted is the folder that was opened.
	home := m.open(t)
	must(t, os.Rename(m.home, m.home+"-moved"))
	must(t, os.Symlink(m.outside, m.home))
	for _, step := range []plan.Step{plan.MakeFolder, plan.MountEmpty, plan.BindHome} {
		must(t, Do(step, m.target, home))
	}
	if seen, _ := os.ReadDir(m.target); len(seen) != files+1 {
		t.Errorf("the pod sees %v", seen)
	}
}

// Folders that are mounted twice do not depend on each other, and what is mounted in the export is not seen in a pod.
func TestHomesAreApart(t *testing.T) {
	m := newMachine(t)
	home := m.open(t)
	second := m.target + "-2"
	for _, target := range []string{m.target, second} {
		for _, step := range []plan.Step{plan.MakeFolder, plan.MountEmpty, plan.BindHome} {
			must(t, Do(step, target, home))
		}
	}
	must(t, os.Mkdir(filepath.Join(m.home, "in"), 0o755))
	must(t, unix.Mount("x", filepath.Join(m.home, "in"), "tmpfs", 0, ""))
	must(t, os.WriteFile(filepath.Join(m.home, "in", "secret"), nil, 0o644))
	if seen, err := os.ReadDir(filepath.Join(second, "in")); err != nil || len(seen) != 0 {
		t.Errorf("a mount in the export is seen in the pod: %v %v", seen, err)
	}
	must(t, unix.Unmount(filepath.Join(m.home, "in"), unix.MNT_DETACH))
	must(t, os.Remove(filepath.Join(m.home, "in")))
	for _, step := range plan.Unpublish(look(t, m.target)) {
		must(t, Do(step, m.target, nil))
	}
	if seen, err := os.ReadDir(second); err != nil || len(seen) != files+1 {
		t.Errorf("the other pod sees %d files, %v", len(seen), err)
	}
	m.whole(t, "at the end")
}

func TestLookRefusesWhatIsNoFolder(t *testing.T) {
	m := newMachine(t)
	must(t, os.Symlink(m.home, m.target))
	if s, err := Look(m.target); err == nil {
		t.Errorf("a link as a target: %+v", s)
	}
	mounts, err := Mounts()
	if err != nil || !slices.ContainsFunc(mounts, func(m plan.Mount) bool { return m.Point == "/proc" }) {
		t.Errorf("mounts: %v %v", mounts, err)
	}
	if !plan.SharedWith(mounts, filepath.Dir(m.target)) || plan.SharedWith(mounts, m.exports) {
		t.Error("which mounts are shared is not seen")
	}
	if err := Do("rm -rf", m.target, nil); err == nil || !strings.Contains(err.Error(), "no such step") {
		t.Errorf("another step: %v", err)
	}
}
