package spawn

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// TestReportedUse: what somebody wrote on a pod is believed as far as a report could be.
func TestReportedUse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-26T11:00:00Z":      now.Add(-time.Hour),
		"2026-11-26T13:00:00+02:00": now.Add(-time.Hour),
		"2026-11-26T12:00:59Z":      now.Add(59 * time.Second),
		"2026-11-26T12:01:01Z":      {},
		"2036-11-26T12:00:00Z":      {},
		"yesterday":                 {},
		"1700000000":                {},
		"":                          {},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{contract.AnnotationLastActivity: text}}}
		if got := ReportedUse(pod, now); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	if got := ReportedUse(&corev1.Pod{}, now); !got.IsZero() {
		t.Errorf("without an annotation: %v", got)
	}
}

// TestLastUse: the latest of all that is known counts, and what cannot be known is use.
func TestLastUse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ago := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	runs := Server{UID: "u", Created: ago(9), Answered: ago(8), Status: Status{Phase: Answering}}
	starts := Server{UID: "u", Created: ago(9), Status: Status{Phase: Pending}}
	for name, c := range map[string]struct {
		server    Server
		activity  Activity
		last, use time.Time
	}{
		"no pod":               {Server{}, Activity{Last: ago(1), Tells: true}, time.Time{}, time.Time{}},
		"it starts":            {starts, Activity{}, ago(9), ago(9)},
		"not asked yet":        {runs, Activity{}, ago(8), now},
		"idle since its start": {runs, Activity{Last: ago(8), Tells: true}, ago(8), ago(8)},
		"it tells":             {runs, Activity{Last: ago(2), Tells: true}, ago(2), ago(2)},
		"a later report":       {runs, Activity{Last: ago(2), Reported: ago(1), Tells: true}, ago(1), ago(1)},
		"an earlier report":    {runs, Activity{Last: ago(2), Reported: ago(3), Tells: true}, ago(2), ago(2)},
		"it works":             {runs, Activity{Last: ago(2), Busy: true, Tells: true}, ago(2), now},
		"it tells no more":     {runs, Activity{Last: ago(2), Reported: ago(1)}, ago(1), now},
	} {
		if got := c.server.With(c.activity); !got.LastActivity.Equal(c.last) || !got.LastUse(now).Equal(c.use) {
			t.Errorf("%s: last activity %v, use %v; want %v, %v", name, got.LastActivity, got.LastUse(now), c.last, c.use)
		}
	}
}
