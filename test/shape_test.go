package test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A reader keeps a file of this length in mind, and sees a function of that length at once.
const (
	maxFile     = 500
	maxFunction = 80
)

// sources returns the tracked Go files of all modules, by path.
func sources(t *testing.T) texts {
	t.Helper()
	all := tracked(t)
	maps.DeleteFunc(all, func(name, _ string) bool { return !strings.HasSuffix(name, ".go") })
	return all
}

// tooLong returns the file, or the functions in it, that are longer than a reader keeps in
// mind.
func tooLong(name, text string) ([]string, error) {
	var faults []string
	if n := strings.Count(text, "\n"); n > maxFile {
		faults = append(faults, fmt.Sprintf("%s has %d lines, more than %d", name, n, maxFile))
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > maxFunction {
			faults = append(faults, fmt.Sprintf("%s: %s has %d lines, more than %d", files.Position(f.Pos()), f.Name.Name, n, maxFunction))
		}
	}
	return faults, nil
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	t.Parallel()
	all := sources(t)
	if len(all) < 200 {
		t.Fatalf("only %d Go files were found", len(all))
	}
	for name, text := range all {
		faults, err := tooLong(name, text)
		if err != nil {
			t.Error(err)
		}
		for _, fault := range faults {
			t.Error(fault)
		}
	}
}

// TestLengthIsSeen is the negative control: one line more than allowed is a fault, the
// allowed length is none.
func TestLengthIsSeen(t *testing.T) {
	t.Parallel()
	function := func(lines int) string { return "func f() {\n" + strings.Repeat("\t_ = 0\n", lines-2) + "}\n" }
	for _, c := range []struct {
		name, text string
		faults     int
	}{
		{"function of 80 lines", "package p\n" + function(maxFunction), 0},
		{"function of 81 lines", "package p\n" + function(maxFunction+1), 1},
		{"method of 81 lines", "package p\ntype T int\n" + strings.Replace(function(maxFunction+1), "func f", "func (T) f", 1), 1},
		{"file of 500 lines", "package p\n" + strings.Repeat("//\n", maxFile-1), 0},
		{"file of 501 lines", "package p\n" + strings.Repeat("//\n", maxFile), 1},
	} {
		if faults, err := tooLong(c.name, c.text); err != nil || len(faults) != c.faults {
			t.Errorf("%s: %q %v, want %d faults", c.name, faults, err, c.faults)
		}
	}
}

// undocumented returns the folders below room that hold a package without a doc.go that
// says what it is for.
func undocumented(all texts, room string) []string {
	said, folders := map[string]bool{}, map[string]bool{}
	for name, text := range all {
		folder := filepath.ToSlash(filepath.Dir(name))
		if strings.HasSuffix(name, "_test.go") || !within(folder, room) {
			continue
		}
		folders[folder] = true
		if filepath.Base(name) == "doc.go" {
			said[folder] = strings.HasPrefix(text, "// Package ")
		}
	}
	var missing []string
	for folder := range folders {
		if !said[folder] {
			missing = append(missing, folder)
		}
	}
	slices.Sort(missing)
	return missing
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, folder := range undocumented(sources(t), "pkg") {
		t.Errorf("%s has no doc.go that begins with \"// Package\"", folder)
	}
}

// TestAMissingDocIsSeen is the negative control.
func TestAMissingDocIsSeen(t *testing.T) {
	t.Parallel()
	got := undocumented(texts{
		"room/good/doc.go": "// Package good is.\npackage good\n", "room/good/good.go": "package good\n",
		"room/bare/bare.go": "package bare\n", "room/silent/doc.go": "package silent\n", "room/tested/tested_test.go": "package tested\n",
		"other/x/main.go": "package main\n",
	}, "room")
	if want := []string{"room/bare", "room/silent"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
