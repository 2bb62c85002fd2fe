package main

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// target is one fuzz function.
type target struct{ dir, name string }

func (t target) String() string { return t.dir + " " + t.name }

var declared = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// targets returns the fuzz functions in test files, by path, in a stable order.
func targets(files map[string]string) []target {
	var all []target
	for file, text := range files {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			all = append(all, target{path.Dir(file), m[1]})
		}
	}
	slices.SortFunc(all, func(a, b target) int { return strings.Compare(a.String(), b.String()) })
	return all
}

// spurious reports whether go test failed only because the time was over while a worker was
// busy: it then names a deadline and writes no input (golang/go 75804, mended in Go 1.27).
func spurious(output string) bool {
	return strings.Contains(output, "context deadline exceeded") &&
		!strings.Contains(output, "Failing input written") && !strings.Contains(output, "seed corpus entry")
}
