package main

import (
	"fmt"
	"path"
	"strings"
)

// minEfficacy is the share of a package's covered changes that its tests must notice.
const minEfficacy = 0.95

// mutation is one change and what became of it, in gremlins' words.
type mutation struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Line   int    `json:"line"`
	Column int    `json:"column"` // of the operator, from 1
}

// report is gremlins' output for one package.
type report struct {
	Files []struct {
		Name      string     `json:"file_name"` // below the package
		Mutations []mutation `json:"mutations"`
	} `json:"files"`
}

// explanation says why no test can notice a change.
type explanation struct {
	file, kind, code, reason string
	used                     bool
}

// parseExplanations reads explained.txt; every faulty line is an error of its own.
func parseExplanations(text string) (all []*explanation, faults []string) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, " | ", 4)
		if len(fields) != 4 || strings.TrimSpace(fields[3]) == "" {
			faults = append(faults, fmt.Sprintf("explained.txt:%d: needs file | kind | code | reason", i+1))
			continue
		}
		all = append(all, &explanation{file: fields[0], kind: fields[1], code: fields[2], reason: fields[3]})
	}
	return all, faults
}

// judge returns what is wrong with one package's report, and a line that sums it up. source
// returns a line of a file, both below the repository's root; explanations that fit are
// marked as used.
func judge(pkg string, r report, source func(file string, line int) string, explained []*explanation) (summary string, faults []string) {
	killed, lived := 0, 0
	for _, f := range r.Files {
		file := path.Join(pkg, f.Name)
		for _, m := range f.Mutations {
			switch m.Status {
			case "KILLED":
				killed++
			case "LIVED":
				lived++
				code := source(file, m.Line)
				if !explains(explained, file, m, code) {
					faults = append(faults, fmt.Sprintf("%s:%d:%d: no test notices %s of: %s", file, m.Line, m.Column, m.Type, strings.TrimSpace(code)))
				}
			case "TIMED OUT":
				faults = append(faults, fmt.Sprintf("%s:%d:%d: the tests did not end with %s; is the machine busy?", file, m.Line, m.Column, m.Type))
			}
		}
	}
	if killed == 0 {
		return pkg + ": nothing was killed", append(faults, pkg+": no change was killed: the search is blind")
	}
	efficacy := float64(killed) / float64(killed+lived)
	if efficacy < minEfficacy {
		faults = append(faults, fmt.Sprintf("%s: %.1f %% of the changes are noticed, fewer than %.0f %%", pkg, 100*efficacy, 100*minEfficacy))
	}
	return fmt.Sprintf("%-24s %3d killed, %d lived: %.1f %%", pkg, killed, lived, 100*efficacy), faults
}

// explains reports whether an explanation fits the change m in a line of file.
func explains(all []*explanation, file string, m mutation, line string) bool {
	for _, e := range all {
		if e.file == file && e.kind == m.Type && m.Column > 0 && m.Column <= len(line) && strings.HasPrefix(line[m.Column-1:], e.code) {
			e.used = true
			return true
		}
	}
	return false
}

// unused returns the explanations of pkgs that fitted no survivor: their code has changed, or
// a test notices the change now.
func unused(all []*explanation, pkgs []string) (faults []string) {
	for _, e := range all {
		for _, pkg := range pkgs {
			if !e.used && path.Dir(e.file) == pkg {
				faults = append(faults, fmt.Sprintf("explained.txt: %s %s of %q explains nothing any more", e.file, e.kind, e.code))
			}
		}
	}
	return faults
}
