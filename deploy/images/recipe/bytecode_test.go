package recipe

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestBytecodeThatDoesNotLast(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const magic = "\xa7\x0d\x0d\x0a"
	for name, header := range map[string]string{
		"good": "\x01\x00\x00\x00", "timed": "\x00\x00\x00\x00", "checked": "\x03\x00\x00\x00", "older": "\x01\x00\x00\x00",
	} {
		version := "311"
		if name == "older" {
			version = "310"
		}
		write("lib/"+name+".py", "")
		write("lib/__pycache__/"+name+".cpython-"+version+".pyc", magic+header+"12345678")
	}
	write("lib/none.py", "")
	write("lib/data.txt", "")
	got, err := stale(dir, "3.11")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"checked", "none", "older", "timed"}
	for i, name := range want {
		want[i] = filepath.Join(dir, "lib", name+".py")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	write("lib/__pycache__/none.cpython-311.pyc", magic)
	if _, err := stale(dir, "3.11"); err == nil {
		t.Error("a file that was cut off was accepted")
	}
}
