package spawn

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// ClockSkew is how far in the future a reported time may be: the clocks of nodes differ. A time from
// further ahead would keep an idle server for as long.
const ClockSkew = time.Minute

// Activity is what a replica knows of the use of one pod's server. The zero value knows nothing.
type Activity struct {
	// Reported is when a program last said that the server is in use; zero for never.
	Reported time.Time
	// Last is when the server was last in use as it told itself; zero before it did.
	Last time.Time
	// Busy says that a kernel worked when the server last told.
	Busy bool
	// Tells says that the server told when it was last asked.
	Tells bool
}

// ReportedUse returns when a program last reported a pod's server to be in use, as the pod has it
// written down; zero where it has no such time, or one of the future, which no report can be.
func ReportedUse(pod *corev1.Pod, now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, pod.Annotations[contract.AnnotationLastActivity])
	if err != nil || at.After(now.Add(ClockSkew)) {
		return time.Time{}
	}
	return at
}

// WriteUse returns what a pod is changed to when its server was reported to be in use at a moment. A
// pod that has changed meanwhile stays as it is: another replica may have written a later time.
func WriteUse(pod *corev1.Pod, at time.Time) map[string]any {
	return map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "resourceVersion": pod.ResourceVersion,
		"annotations": map[string]string{contract.AnnotationLastActivity: at.UTC().Format(time.RFC3339)},
	}}
}

// With returns s with what is known of its use. Its start counts as use.
func (s Server) With(a Activity) Server {
	if s.UID == "" {
		return s
	}
	s.Busy, s.Tells = a.Busy, a.Tells
	for _, at := range []time.Time{s.Created, s.Answered, a.Reported, a.Last} {
		if at.After(s.LastActivity) {
			s.LastActivity = at
		}
	}
	return s
}

// LastUse returns when the server was last in use as far as a program may rely on it that stops idle
// servers: at this moment where a kernel works, or where the server runs and does not tell.
func (s Server) LastUse(now time.Time) time.Time {
	if s.Phase == Answering && (s.Busy || !s.Tells) {
		return now
	}
	return s.LastActivity
}
