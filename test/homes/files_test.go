package homes

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// many is how many files a home has.
const many = 10_000

// fill makes a home of that many files in 100 folders, with a link that leads out of it.
func fill(t *testing.T, home, outside string) {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for d := range 100 {
		folder := filepath.Join(home, strconv.Itoa(d))
		fail(os.Mkdir(folder, 0o755))
		for f := range 100 {
			fail(os.WriteFile(filepath.Join(folder, strconv.Itoa(100*d+f)), fmt.Appendf(nil, "file %d", 100*d+f), 0o644))
		}
	}
	fail(os.Symlink(outside, filepath.Join(home, "out")))
}

// digest is a hash over the names, owners and contents of all files below folder, and how many there are.
func digest(t *testing.T, folder string) (sum string, files int) {
	t.Helper()
	all := sha256.New()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(all, "%q %s\n", path, info.Mode())
		if !info.Mode().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		files++
		fmt.Fprintf(all, "%q\n", content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", all.Sum(nil)), files
}

// The negative control of all that follows: a lost file, a changed one and a lost link are seen.
func TestALossIsSeen(t *testing.T) {
	home := t.TempDir()
	fill(t, home, t.TempDir())
	before, files := digest(t, home)
	if files != many {
		t.Fatalf("%d files", files)
	}
	for _, lose := range []func() error{
		func() error { return os.Remove(filepath.Join(home, "99", "9999")) },
		func() error { return os.WriteFile(filepath.Join(home, "5", "555"), []byte("x"), 0o644) },
		func() error { return os.Remove(filepath.Join(home, "out")) },
	} {
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		after, left := digest(t, home)
		if after == before {
			t.Errorf("a loss is not seen; %d files", left)
		}
		before = after
	}
}
