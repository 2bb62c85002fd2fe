// Package golden compares what a test made with a file beside it, and writes that file
// anew under the -update flag, which it registers.
package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// result begins the names of the sections that follow from the others.
const result = "want"

// Each runs f for every txtar file that matches pattern; a pattern without files fails.
// f gets the sections that go in and returns those that follow from them, whose names
// begin with "want".
func Each(t *testing.T, pattern string, f func(t *testing.T, in map[string][]byte) []txtar.File) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files match %s (%v)", pattern, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(archive.Comment)) == 0 {
				t.Error("the file does not begin by saying why the case exists")
			}
			in := map[string][]byte{}
			made := &txtar.Archive{Comment: archive.Comment}
			for _, section := range archive.Files {
				if !strings.HasPrefix(section.Name, result) {
					in[section.Name] = section.Data
					made.Files = append(made.Files, section)
				}
			}
			made.Files = append(made.Files, f(t, in)...)
			File(t, path, txtar.Format(made))
		})
	}
}

// Want is the one section of a case that has one result.
func Want(data []byte) []txtar.File { return []txtar.File{{Name: result, Data: data}} }

// File fails the test when the file at path does not hold got.
func File(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; make golden writes it", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs from what was made (-want +got); if that is meant: make golden\n%s", path, diff)
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
