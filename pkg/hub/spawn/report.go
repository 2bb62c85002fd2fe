package spawn

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// How far along each step is. Fetching an image takes most of the time when it has to
// be done; otherwise Jupyter's own start does.
const (
	percentRequested = 5
	percentWaiting   = 10
	percentScheduled = 20
	percentPulling   = 30
	percentPulled    = 50
	percentCreated   = 55
	percentStarted   = 60
	percentAnswering = 90
)

// maxSteps bounds a report: a pod that waits for hours collects events all the time.
const maxSteps = 50

// report lists what has happened to a pod. Percentages never fall.
func report(pod *corev1.Pod, events []*corev1.Event) []Step {
	steps := []Step{{Percent: percentRequested, Message: MsgRequested}}
	seen := map[string]bool{}
	add := func(s Step) {
		if seen[s.Key()] || len(steps) >= maxSteps {
			return
		}
		seen[s.Key()] = true
		s.Percent = max(s.Percent, steps[len(steps)-1].Percent)
		steps = append(steps, s)
	}
	if pod.Spec.NodeName == "" {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				add(Step{Percent: percentWaiting, Message: MsgUnschedulable, Detail: brief(c.Message)})
			}
		}
	}
	for _, e := range ordered(events) {
		if s, ok := fromEvent(pod, e); ok {
			add(s)
		}
	}
	if pod.Spec.NodeName != "" {
		add(Step{Percent: percentScheduled, Message: MsgScheduled})
	}
	status := containerStatus(pod)
	if status.State.Running != nil {
		add(Step{Percent: percentStarted, Message: MsgStarted})
	}
	if last := lastExit(status); last != nil && status.State.Running != nil {
		add(Step{Percent: percentStarted, Message: MsgRestarted, Data: map[string]string{"Code": strconv.Itoa(int(last.ExitCode))}})
	}
	return steps
}

// fromEvent translates one of a pod's events; false for events that say nothing new.
func fromEvent(pod *corev1.Pod, e *corev1.Event) (Step, bool) {
	detail := brief(e.Message)
	switch e.Reason {
	case "FailedScheduling":
		return Step{Percent: percentWaiting, Message: MsgUnschedulable, Detail: detail}, pod.Spec.NodeName == ""
	case "Scheduled":
		return Step{Percent: percentScheduled, Message: MsgScheduled}, true
	case "FailedMount", "FailedAttachVolume":
		if lacksSecret(pod, e) {
			return Step{Percent: percentScheduled, Message: MsgSecret}, true
		}
		return Step{Percent: percentScheduled, Message: MsgMountRetry, Detail: detail}, true
	case "Pulling":
		return Step{Percent: percentPulling, Message: MsgPulling}, true
	case "Pulled":
		return Step{Percent: percentPulled, Message: MsgPulled}, true
	case "Created":
		return Step{Percent: percentCreated, Message: MsgCreated}, true
	case "Started":
		return Step{Percent: percentStarted, Message: MsgStarted}, true
	}
	if missingSecret(pod, detail) {
		return Step{Percent: percentScheduled, Message: MsgSecret}, true
	}
	return Step{Message: MsgNote, Detail: brief(e.Reason + ": " + e.Message)}, e.Type == corev1.EventTypeWarning
}

// failed says why a pod will not become a server without somebody's help. A pod that
// answers has not failed, whatever happened on the way.
func failed(pod *corev1.Pod, events []*corev1.Event) (Step, bool) {
	if IsAnswering(pod) {
		return Step{}, false
	}
	s := Step{Failed: true}
	status := containerStatus(pod)
	if w := status.State.Waiting; w != nil {
		switch w.Reason {
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError":
			s.Message, s.Data, s.Detail = MsgImage, map[string]string{"Image": imageOf(pod)}, brief(w.Message)
			return s, true
		case "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			if missingSecret(pod, w.Message) {
				return Step{}, false // on its way: see doc.go
			}
			s.Message, s.Detail = MsgConfig, brief(w.Message)
			return s, true
		}
	}
	if crash, ok := crashed(pod, status); ok {
		return crash, true
	}
	if pod.Status.Phase == corev1.PodFailed {
		s.Message, s.Data, s.Detail = MsgPod, map[string]string{"Reason": cmp.Or(pod.Status.Reason, "Failed")}, brief(pod.Status.Message)
		return s, true
	}
	if e := stuckMount(pod, events); e != nil {
		s.Message, s.Detail = MsgMount, brief(e.Message)
		return s, true
	}
	return Step{}, false
}

// crashed reports a server that ended before it ever answered, or that Kubernetes has
// stopped restarting at once. A server that was in use and runs again is not one.
func crashed(pod *corev1.Pod, status corev1.ContainerStatus) (Step, bool) {
	exit := lastExit(status)
	if exit == nil {
		return Step{}, false
	}
	waiting := status.State.Waiting
	if _, answered := condition(pod); answered && (waiting == nil || waiting.Reason != "CrashLoopBackOff") {
		return Step{}, false
	}
	s := Step{Failed: true, Message: MsgCrash, Data: map[string]string{"Code": strconv.Itoa(int(exit.ExitCode))}, Detail: tail(exit.Message)}
	if exit.Reason == "OOMKilled" {
		limit := "?"
		for _, c := range pod.Spec.Containers {
			if q, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == container {
				limit = q.String()
			}
		}
		s.Message, s.Data = MsgOOM, map[string]string{"Limit": limit}
	}
	return s, true
}

func lastExit(status corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if status.State.Terminated != nil {
		return status.State.Terminated
	}
	return status.LastTerminationState.Terminated
}

// stuckMount finds a volume that could not be attached for some seconds. The first
// failures are usual: the kubelet's caches may not know a new object yet.
func stuckMount(pod *corev1.Pod, events []*corev1.Event) *corev1.Event {
	status := containerStatus(pod)
	const patience = 5 * time.Second
	if status.State.Running != nil || status.State.Terminated != nil {
		return nil
	}
	var first, last *corev1.Event
	for _, e := range ordered(events) {
		switch e.Reason {
		case "FailedMount", "FailedAttachVolume":
			if lacksSecret(pod, e) {
				continue // on its way: see doc.go
			}
			if first == nil {
				first = e
			}
			last = e
		case "Pulling", "Pulled", "Created":
			return nil
		}
	}
	if first == nil || latest(last).Sub(earliest(first)) < patience {
		return nil
	}
	return last
}

// missingSecret recognises the kubelet's complaint that the pod's own secret is missing,
// which is about to be created (step 3 in doc.go).
func missingSecret(pod *corev1.Pod, message string) bool {
	name := secretName(pod.Name, pod.Annotations[contract.AnnotationNonce])
	return strings.Contains(message, `secret "`+name+`" not found`)
}

// lacksSecret recognises the same complaint in an event about a volume.
func lacksSecret(pod *corev1.Pod, e *corev1.Event) bool {
	return e.Reason == "FailedMount" && missingSecret(pod, e.Message)
}

func imageOf(pod *corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

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

// tail keeps the end of a server's last words.
func tail(s string) string {
	const lines, most = 20, 2000
	all := strings.Split(strings.TrimSpace(strings.ToValidUTF8(s, "�")), "\n")
	s = strings.Join(all[max(0, len(all)-lines):], "\n")
	if len(s) <= most {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-most:], "")
}
