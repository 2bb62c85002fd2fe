package recipe

import (
	"os"
	"path/filepath"
	"testing"
)

func TestKeyFollowsEveryInput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	key := func(r Recipe, salt string) string {
		k, err := r.Key(salt)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("one")
	base := Recipe{Name: "perijove/x", Words: []string{"bookworm", "1"}, Files: []string{dir}}
	first := key(base, "salt")
	if key(base, "salt") != first {
		t.Error("the key is not stable")
	}
	other := base
	other.Words = []string{"bookworm1", ""}
	if key(other, "salt") == first {
		t.Error("words run into one another")
	}
	if key(base, "other recipe") == first {
		t.Error("the salt does not count")
	}
	write("two")
	if key(base, "salt") == first {
		t.Error("a changed file does not count")
	}
	base.Files = []string{filepath.Join(dir, "missing")}
	if _, err := base.Key("salt"); err == nil {
		t.Error("a missing input was accepted")
	}
}

func TestSkipDebian(t *testing.T) {
	for name, want := range map[string]bool{
		"etc/resolv.conf": true, "etc/hostname": true, "etc/apt": true, "usr/share/man": true, "usr/share/locale": true,
		"usr/share/doc/bash/README": true, "usr/share/doc/bash/copyright": false, "usr/share/doc/bash": false,
		"usr/lib/x86_64-linux-gnu/perl-base": true, "usr/lib/python3/perl": false,
		"dev/null": true, "dev": false, "tmp/x": true, "tmp": false, "proc": false,
		"usr/bin/python3": false, "etc/passwd": false, "home/jovyan": false,
	} {
		if got := skipDebian(name); got != want {
			t.Errorf("skipDebian(%q) = %v", name, got)
		}
	}
}

// Install scripts do not run, so names that Debian's alternatives would make are made by the recipe.
func TestLinks(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "nano"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := links(bin, map[string]string{"editor": "nano"}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.Readlink(filepath.Join(bin, "editor")); err != nil || got != "nano" {
		t.Errorf("editor is a link to %q, %v", got, err)
	}
	if err := links(bin, map[string]string{"vi": "vim.tiny"}); err == nil {
		t.Error("a link to a program that the packages do not have was made")
	}
}
