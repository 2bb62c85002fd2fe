package spawn

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Lifetime says when servers end by themselves. A profile's goes before the installation's.
type Lifetime struct {
	// MaxAge is how long a server may run. Kubernetes itself ends it then.
	MaxAge Span `yaml:"max_age"`
	Cull   Cull `yaml:"cull"`
}

// Cull says when a server is stopped because it is not in use (package cull).
type Cull struct {
	// Idle is how long it may be idle.
	Idle Span `yaml:"idle"`
}

// over returns l with what it leaves open as base says it.
func (l Lifetime) over(base Lifetime) Lifetime {
	l.MaxAge, l.Cull.Idle = cmp.Or(l.MaxAge, base.MaxAge), cmp.Or(l.Cull.Idle, base.Cull.Idle)
	return l
}

// faults returns what is wrong, with keys as in the document.
func (l Lifetime) faults() faults {
	var f faults
	_, err := l.MaxAge.Duration()
	f.check(err == nil, "max_age", "%v", err)
	_, err = l.Cull.Idle.Duration()
	f.check(err == nil, "cull.idle", "%v", err)
	return f
}

// deadline is the age in seconds at which Kubernetes ends a pod, nil for never.
func (l Lifetime) deadline() *int64 {
	age, err := l.MaxAge.Duration()
	if err != nil || age == 0 {
		return nil
	}
	return new(int64(age / time.Second))
}

// keep writes on a pod how long it may be idle.
func (l Lifetime) keep(pod *corev1.Pod) {
	if idle, err := l.Cull.Idle.Duration(); err == nil && idle > 0 {
		pod.Annotations[contract.AnnotationCullIdle] = idle.String()
	}
}

// CullAfter returns for how long the server of a pod may be idle; 0 for ever, also where the
// annotation is no such time.
func CullAfter(pod *corev1.Pod) time.Duration {
	idle, err := Span(pod.Annotations[contract.AnnotationCullIdle]).Duration()
	if err != nil {
		return 0
	}
	return idle
}

// Culled returns what a pod is changed to when its server was idle for too long: its time is up,
// so that Kubernetes ends it and keeps it, and users see why until the next start. A pod that is
// replaced meanwhile has another UID, and one that changed another version: then nothing is done.
func Culled(pod *corev1.Pod) map[string]any {
	return map[string]any{
		"metadata": map[string]any{
			"uid": pod.UID, "resourceVersion": pod.ResourceVersion,
			"annotations": map[string]string{contract.AnnotationCulled: CullAfter(pod).String()},
		},
		"spec": map[string]any{"activeDeadlineSeconds": 1}, // the least that Kubernetes takes
	}
}

// Bounds of a Span. Kubernetes counts an age in seconds with 32 bits; ten years are within them.
const (
	ShortestSpan = time.Minute
	LongestSpan  = 10 * 365 * 24 * time.Hour
)

// Span is a time as administrators write it: 12h, 90m, or a number of seconds, as Zero to
// JupyterHub has it. "" says nothing, and 0 is none.
type Span string

// Duration returns the time in whole seconds; 0 for none.
func (s Span) Duration() (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(string(s))
	if seconds, numErr := strconv.ParseFloat(string(s), 64); numErr == nil {
		d, err = LongestSpan+1, nil
		if seconds >= 0 && seconds <= LongestSpan.Seconds() { // not NaN either
			d = time.Duration(seconds * float64(time.Second))
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.64q is no time like 12h, 90m or 3600 (seconds)", string(s))
	case d != 0 && (d < ShortestSpan || d > LongestSpan):
		return 0, errors.New("must be 0 or between 1m and 10 years")
	}
	return d.Truncate(time.Second), nil
}

// spanWords returns a time in the units that people count in: 12 h, 1 d 6 h, 90 s.
func spanWords(d time.Duration) string {
	const day = 24 * time.Hour
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{day, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 {
			parts, d = append(parts, fmt.Sprintf("%d %s", n, u.name)), d%u.size
		}
	}
	return strings.Join(parts, " ")
}

// reasonDeadline is the reason that Kubernetes gives for a pod that reached its age.
const reasonDeadline = "DeadlineExceeded"

// ends returns when Kubernetes ends the pod because of its age; zero for never, and while no
// node has taken the pod: the age counts from then.
func ends(pod *corev1.Pod) time.Time {
	age := pod.Spec.ActiveDeadlineSeconds
	if age == nil || pod.Status.StartTime == nil {
		return time.Time{}
	}
	return pod.Status.StartTime.Add(time.Duration(*age) * time.Second)
}

// mayAge is the age at which Kubernetes ends the server of the pod; 0 for never.
func mayAge(pod *corev1.Pod) time.Duration {
	age := pod.Spec.ActiveDeadlineSeconds
	if age == nil {
		return 0
	}
	lasts := time.Duration(*age) * time.Second
	if began := Began(pod); IsClaimed(pod) && pod.Status.StartTime != nil {
		lasts -= max(0, began.Sub(pod.Status.StartTime.Time)).Truncate(time.Second) // Kubernetes counts from there
	}
	return lasts
}

// aged reports whether Kubernetes has ended the pod because of its age.
func aged(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed && pod.Status.Reason == reasonDeadline
}

// expired reports whether the pod is about to be ended because of its age. Its node takes some
// seconds for that, and tells the end only when the container is gone.
func expired(pod *corev1.Pod, now time.Time) bool {
	at := ends(pod)
	return !at.IsZero() && !now.Before(at) && !final(pod)
}

// ending returns why a server ended that no user stopped.
func ending(pod *corev1.Pod) []Notice {
	if !aged(pod) || pod.Spec.ActiveDeadlineSeconds == nil {
		return nil
	}
	n := Notice{Message: MsgNoticeAge, Expected: true, At: ends(pod)}
	n.Data = map[string]string{"Age": spanWords(mayAge(pod))}
	if idle, err := Span(pod.Annotations[contract.AnnotationCulled]).Duration(); err == nil && idle > 0 {
		n.Message, n.Data = MsgNoticeIdle, map[string]string{"Idle": spanWords(idle)}
	}
	if exit := lastExit(containerStatus(pod)); exit != nil && !exit.FinishedAt.IsZero() {
		n.At = exit.FinishedAt.Time
	}
	return []Notice{n}
}
