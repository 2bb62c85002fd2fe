package spawn

import (
	"time"

	corev1 "k8s.io/api/core/v1"
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
	if s, ok := smallHome(pod); ok {
		add(s)
	}
	// The volume is named before the node: a pod waits for its volume first.
	if why, ok := volumeTrouble(pod, events); ok {
		add(Step{Percent: percentWaiting, Message: MsgVolume, Detail: why})
	} else if why, ok := waitsForNode(pod); ok {
		add(waits(pod, why))
	}
	for _, e := range ordered(events) {
		if IsClaimed(pod) && latest(e).Before(Began(pod).Truncate(time.Second)) {
			continue // of the time when it waited
		}
		if s, ok := fromEvent(pod, e); ok {
			add(s)
		}
	}
	if pod.Spec.NodeName != "" {
		add(Step{Percent: percentScheduled, Message: MsgScheduled})
	}
	if containerStatus(pod).State.Running != nil {
		add(Step{Percent: percentStarted, Message: MsgStarted})
	}
	if s, ok := restarted(pod); ok {
		add(s)
	}
	return steps
}

// fromEvent translates an event; false for events that say nothing new.
func fromEvent(pod *corev1.Pod, e *corev1.Event) (Step, bool) {
	detail := brief(e.Message)
	if aboutClaim(e) {
		// Of the rest volumeTrouble has said what there is to say.
		return Step{Message: MsgNote, Detail: brief(e.Reason + ": " + e.Message)}, notEnlarged(pod, e)
	}
	switch e.Reason {
	case "FailedScheduling":
		return waits(pod, detail), pod.Spec.NodeName == "" && !namesVolume(detail)
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
