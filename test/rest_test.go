package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
)

// restRows are the rows of the table in docs/rest.md.
func restRows() (rows []string) {
	for _, e := range contract.Endpoints() {
		scope := "`" + e.Scope + "`"
		switch {
		case e.Open():
			scope = "open to all"
		case e.Scope == "":
			scope = "no token"
		case e.Scope == "version":
			scope = "any token"
		}
		rows = append(rows, fmt.Sprintf("| `%s %s` | %s | %s |", e.Method, strings.TrimSuffix(e.Path, "{$}"), scope, e.Summary))
	}
	return rows
}

// TestRESTIsDocumented: docs/rest.md has a row for each endpoint, in the table's order, and no other.
func TestRESTIsDocumented(t *testing.T) {
	t.Parallel()
	var got []string
	for line := range strings.Lines(tracked(t)["docs/rest.md"]) {
		if strings.Contains(line, contract.PathAPI) && strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if want := strings.Join(restRows(), "\n"); strings.Join(got, "\n") != want {
		t.Errorf("docs/rest.md has\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}
