package layer

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// tree makes files with the given time, a set-user-ID program and a hard link.
func tree(t *testing.T, at time.Time) string {
	root := t.TempDir()
	for _, name := range []string{"b", "a", "dir/c", "skip/d"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "a"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(root, "a"), filepath.Join(root, "dir/linked")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("c", filepath.Join(root, "dir/pointer")); err != nil {
		t.Fatal(err)
	}
	return root
}

func pack(t *testing.T, root string) *Layer {
	l, err := Write(filepath.Join(t.TempDir(), "layer"), Tree(root, func(path string) bool { return path == "skip" }))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTreeIsReproducible(t *testing.T) {
	first, second := pack(t, tree(t, time.Unix(1, 0))), pack(t, tree(t, time.Now()))
	if first.digest != second.digest || first.diffID != second.diffID {
		t.Errorf("same files, other layers: %v and %v", first.digest, second.digest)
	}
	changed := tree(t, time.Now())
	if err := os.WriteFile(filepath.Join(changed, "b"), []byte("B"), 0o755); err != nil {
		t.Fatal(err)
	}
	if pack(t, changed).digest == first.digest {
		t.Error("other files, same layer")
	}
}

func TestTreeMembers(t *testing.T) {
	l := pack(t, tree(t, time.Now()))
	plain, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	var names []string
	for members := tar.NewReader(plain); ; {
		header, err := members.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Mode&0o6000 != 0 {
			t.Errorf("%s has a set-user-ID bit: %o", header.Name, header.Mode)
		}
		if !header.ModTime.Equal(epoch) || header.Uname != "" {
			t.Errorf("%s: time %v, user %q", header.Name, header.ModTime, header.Uname)
		}
		if header.Name == "dir/linked" && (header.Typeflag != tar.TypeLink || header.Linkname != "a") {
			t.Errorf("hard link became type %q to %q", header.Typeflag, header.Linkname)
		}
	}
	if got := strings.Join(names, " "); got != "a b dir/ dir/c dir/linked dir/pointer" {
		t.Errorf("members: %s", got)
	}
}

// The hashes that were taken while writing are those of the bytes that are read back.
func TestHashesAreTrue(t *testing.T) {
	l := pack(t, tree(t, time.Now()))
	for name, open := range map[string]func() (io.ReadCloser, error){"digest": l.Compressed, "diff id": l.Uncompressed} {
		content, err := open()
		if err != nil {
			t.Fatal(err)
		}
		have, _, err := v1.SHA256(content)
		content.Close()
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]v1.Hash{"digest": l.digest, "diff id": l.diffID}[name]; have != want {
			t.Errorf("%s is %v, the bytes have %v", name, want, have)
		}
	}
}
