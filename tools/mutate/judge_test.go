package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// reported is gremlins' report with so many killed changes and one for each other status.
func reported(t *testing.T, killed int, others ...string) report {
	t.Helper()
	var all []string
	for range killed {
		all = append(all, `{"type":"CONDITIONALS_NEGATION","status":"KILLED","line":1,"column":6}`)
	}
	for _, status := range others {
		all = append(all, fmt.Sprintf(`{"type":"CONDITIONALS_BOUNDARY","status":%q,"line":1,"column":6}`, status))
	}
	var r report
	if err := json.Unmarshal([]byte(`{"files":[{"file_name":"x.go","mutations":[`+strings.Join(all, ",")+`]}]}`), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func source(string, int) string { return "if a >= b {" }

func TestJudge(t *testing.T) {
	const good = "room/p/x.go | CONDITIONALS_BOUNDARY | >= b | both are the same"
	for _, c := range []struct {
		name, explained string
		report          report
		faults          []string // a part of each
	}{
		{"all killed", "", reported(t, 20), nil},
		{"a survivor", "", reported(t, 20, "LIVED"), []string{"room/p/x.go:1:6: no test notices"}},
		{"an explained survivor", good, reported(t, 20, "LIVED"), nil},
		{"explained for another file", strings.Replace(good, "x.go", "y.go", 1), reported(t, 20, "LIVED"), []string{"no test notices", "explains nothing"}},
		{"explained as another kind", strings.Replace(good, "BOUNDARY", "NEGATION", 1), reported(t, 20, "LIVED"), []string{"no test notices", "explains nothing"}},
		{"explained for other code", strings.Replace(good, ">= b", ">= c", 1), reported(t, 20, "LIVED"), []string{"no test notices", "explains nothing"}},
		{"an explanation that outlived its survivor", good, reported(t, 20), []string{"explains nothing"}},
		{"19 of 20", good, reported(t, 19, "LIVED"), nil},
		{"18 of 19", good, reported(t, 18, "LIVED"), []string{"94.7 %"}},
		{"nothing at all", "", reported(t, 0), []string{"blind"}},
		{"not covered is another measure", "", reported(t, 1, "NOT COVERED"), nil},
		{"an endless test", "", reported(t, 1, "TIMED OUT"), []string{"did not end"}},
		{"no reason", "room/p/x.go | CONDITIONALS_BOUNDARY | >= b", reported(t, 20), []string{"explained.txt:1"}},
	} {
		explained, faults := parseExplanations(c.explained)
		_, found := judge("room/p", c.report, source, explained)
		faults = append(append(faults, found...), unused(explained, []string{"room/p"})...)
		if len(faults) != len(c.faults) {
			t.Errorf("%s: %q, want %q", c.name, faults, c.faults)
			continue
		}
		for i, want := range c.faults {
			if !strings.Contains(faults[i], want) {
				t.Errorf("%s: %q, want %q", c.name, faults[i], want)
			}
		}
	}
}

// TestExplanationsAreOfJudges: an explanation of any other package would never be looked at.
func TestExplanationsAreOfJudges(t *testing.T) {
	explained, faults := parseExplanations(explanations)
	if len(faults) > 0 {
		t.Error(faults)
	}
	if left := unused(explained, judges); len(left) != len(explained) {
		t.Errorf("%d of %d explanations are of packages that are searched", len(left), len(explained))
	}
}
