package spawn

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/podlog"
)

// ordered sorts events by when they last happened.
func ordered(events []*corev1.Event) []*corev1.Event {
	return slices.SortedStableFunc(slices.Values(events), func(a, b *corev1.Event) int {
		return latest(a).Compare(latest(b))
	})
}

// latest is when an event last happened; the three ways of saying so are from three
// generations of the events API.
func latest(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil && !e.Series.LastObservedTime.IsZero():
		return e.Series.LastObservedTime.Time
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return e.CreationTimestamp.Time
}

func earliest(e *corev1.Event) time.Time {
	switch {
	case !e.FirstTimestamp.IsZero():
		return e.FirstTimestamp.Time
	case !e.EventTime.IsZero():
		return e.EventTime.Time
	}
	return latest(e)
}

// brief bounds a sentence of Kubernetes for one line.
func brief(s string) string {
	const most = 400
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "�")), " ")
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// tail keeps the end of a server's last words, without secrets.
func tail(s string) string {
	const lines, most = 20, 2000
	all := strings.Split(strings.TrimSpace(podlog.Text([]byte(s))), "\n")
	s = strings.Join(all[max(0, len(all)-lines):], "\n")
	if len(s) <= most {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-most:], "")
}
