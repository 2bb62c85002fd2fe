package test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/run/telemetry"
)

// auditFile is where lines of the audit log are written and their events are named.
const auditFile = "pkg/run/telemetry/audit.go"

var (
	// eventRow is a row of the table of events in docs/operating.md.
	eventRow = regexp.MustCompile("(?m)^\\| `([a-z_]+\\.[a-z_]+)` \\|")
	// eventConst is a constant of an event.
	eventConst = regexp.MustCompile(`(?m)^\t(\w+) +Event = "([^"]+)"$`)
)

// TestAuditEventsAreDocumented: each event has a row in docs/operating.md and each row an
// event.
func TestAuditEventsAreDocumented(t *testing.T) {
	t.Parallel()
	var rows, events []string
	for _, m := range eventRow.FindAllStringSubmatch(tracked(t)["docs/operating.md"], -1) {
		rows = append(rows, m[1])
	}
	for _, e := range telemetry.Events() {
		events = append(events, string(e))
	}
	slices.Sort(rows)
	slices.Sort(events)
	if len(events) == 0 || !slices.Equal(rows, events) {
		t.Errorf("docs/operating.md documents %q, the audit log has %q", rows, events)
	}
}

// TestAuditEventsAreWritten: each event is listed, written by a service and looked for by a
// test of that service.
func TestAuditEventsAreWritten(t *testing.T) {
	t.Parallel()
	files := sources(t)
	constants := eventConst.FindAllStringSubmatch(files[auditFile], -1)
	if len(constants) != len(telemetry.Events()) {
		t.Errorf("%d constants, %d in the list of all events", len(constants), len(telemetry.Events()))
	}
	for _, m := range constants {
		written, tested := false, false
		for name, text := range files {
			if !strings.Contains(text, "telemetry."+m[1]) {
				continue
			}
			if strings.HasSuffix(name, "_test.go") {
				tested = tested || strings.Contains(text, "logs.Audited(")
			} else {
				written = true
			}
		}
		if !written || !tested {
			t.Errorf("%s: written by a service: %v, looked for by a test: %v", m[2], written, tested)
		}
	}
}

// TestAuditLinesHaveAnEvent: no service writes an audit line past telemetry.Audit.
func TestAuditLinesHaveAnEvent(t *testing.T) {
	t.Parallel()
	for name, text := range sources(t) {
		if name != auditFile && !strings.HasSuffix(name, "_test.go") && strings.Contains(text, `"audit", true`) {
			t.Errorf("%s writes an audit line without an event", name)
		}
	}
	if !strings.Contains(sources(t)[auditFile], `"audit", true`) {
		t.Error("the check is blind")
	}
}
