// Package golden compares what a test made with a section of a txtar file, and
// rewrites it under -update.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// Updating registers and reads the -update flag; call it once from a package-level
// variable of the test.
func Updating() *bool { return flag.Bool("update", false, "rewrite the golden files") }

// Each runs f for every txtar file that matches pattern; a pattern without files
// fails. f returns the section's name and what it should hold.
func Each(t *testing.T, pattern string, update bool, f func(t *testing.T, in map[string][]byte) (section string, got []byte)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files match %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(archive.Comment)) == 0 {
				t.Error("the file does not begin by saying why the case exists")
			}
			in := map[string][]byte{}
			for _, section := range archive.Files {
				in[section.Name] = section.Data
			}
			name, got := f(t, in)
			if update {
				write(t, file, archive, name, got)
				return
			}
			if diff := cmp.Diff(string(in[name]), string(got)); diff != "" {
				t.Errorf("%s differs from what was made (-want +got); accept with -update\n%s", name, diff)
			}
		})
	}
}

func write(t *testing.T, file string, archive *txtar.Archive, name string, got []byte) {
	found := false
	for i := range archive.Files {
		if archive.Files[i].Name == name {
			archive.Files[i].Data, found = got, true
		}
	}
	if !found {
		archive.Files = append(archive.Files, txtar.File{Name: name, Data: got})
	}
	if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

// YAML renders a message as stable YAML (protojson's own spacing is random).
func YAML(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
