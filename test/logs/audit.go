package logs

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/run/telemetry"
)

// Audited fails the test when log, as slog's text or JSON handler writes it, holds no audit
// line of one of the events.
func Audited(t testing.TB, log string, events ...telemetry.Event) {
	t.Helper()
	for _, event := range events {
		if !strings.Contains(log, `"audit":true,"event":"`+string(event)+`"`) && !strings.Contains(log, "audit=true event="+string(event)) {
			t.Errorf("no audit line %q in the log", event)
		}
	}
}
