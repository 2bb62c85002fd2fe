package gobuild

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// pinned returns the versions that a go.mod builds with, by module path.
func pinned(t *testing.T, path string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := modfile.Parse(path, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, require := range parsed.Require {
		versions[require.Mod.Path] = require.Mod.Version
	}
	for _, replace := range parsed.Replace {
		if _, required := versions[replace.Old.Path]; required {
			versions[replace.Old.Path] = replace.New.Version
		}
	}
	return versions
}

// `make up` builds programs of three go.mod files. A module in two versions is compiled twice, and so is all that imports
// it: client-go alone costs a newcomer most of a minute.
func TestOneVersion(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	gets := map[string]string{
		"go.mod": "go get", "deploy/onenode/programs/go.mod": "go -C deploy/onenode/programs get", "tools/go.mod": "go get -modfile=tools/go.mod",
	}
	files, newest := map[string]map[string]string{}, map[string]string{}
	for file := range gets {
		files[file] = pinned(t, filepath.Join(root, file))
		for module, version := range files[file] {
			if semver.Compare(version, newest[module]) > 0 {
				newest[module] = version
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(gets)) {
		var behind []string
		for _, module := range slices.Sorted(maps.Keys(files[file])) {
			if files[file][module] != newest[module] {
				behind = append(behind, module+"@"+newest[module])
			}
		}
		if len(behind) > 0 {
			t.Errorf("%s has older versions than another go.mod. Mend with:\n%s %s", file, gets[file], strings.Join(behind, " "))
		}
	}
}

// Tests, and `go run ./deploy/up`, which is the first thing that compiles the standard library, take their flags from the
// Makefile.
func TestMakefileSharesTheCache(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	want := "\nexport CGO_ENABLED := 0\nexport GOFLAGS := $(strip $(GOFLAGS) " + strings.Join(compileFlags(), " ") + ")\n"
	if !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile compiles with other flags than Build does; expected there:%s", want)
	}
}
