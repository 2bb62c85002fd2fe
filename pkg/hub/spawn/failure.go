package spawn

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// failed says why a pod will not become a server by itself. A final phase comes first: what
// conditions, containers and events say is from before. A pod that answers has not failed,
// whatever happened on the way.
func failed(pod *corev1.Pod, events []*corev1.Event) (Step, bool) {
	if pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != "" {
		return endedBy(pod.Status.Reason, pod.Status.Message), true
	}
	if e := evicted(pod, events); e != nil {
		return endedBy(e.Reason, e.Message), true
	}
	if IsAnswering(pod) {
		return Step{}, false
	}
	var s Step
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
		s.Message, s.Data, s.Detail = MsgPod, map[string]string{"Reason": "Failed"}, brief(pod.Status.Message)
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
	if _, answered := condition(pod); answered && !backsOff(status) {
		return Step{}, false
	}
	s := Step{Message: MsgCrash, Data: map[string]string{"Code": strconv.Itoa(int(exit.ExitCode))}, Detail: tail(exit.Message)}
	if outOfMemory(exit) {
		s.Message, s.Data = MsgOOM, limitOf(pod)
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

// late says what a server that took too long was waiting for.
func late(pod *corev1.Pod, events []*corev1.Event, timeout time.Duration) Step {
	s := Step{Message: MsgTimeout, Data: map[string]string{"Timeout": timeout.String()}}
	unscheduled, isUnscheduled := waitsForNode(pod)
	volume, waitsForVolume := volumeTrouble(pod, events)
	switch {
	case waitsForVolume:
		s.Message, s.Detail = MsgVolumeLate, volume
	case isUnscheduled:
		s.Message, s.Detail = MsgRoomLate, unscheduled
		switch waits(pod, unscheduled).Message {
		case MsgNoGPU:
			s.Message = MsgGPULate
		case MsgNoNode:
			s.Message = MsgNodeLate
		}
	case unseen(pod):
		s.Message = MsgUnseenLate
	case pulls(events) && containerStatus(pod).State.Running == nil:
		s.Message, s.Data["Image"] = MsgPullLate, imageOf(pod)
	}
	return s
}

// unseen reports whether no scheduler has looked at a pod: the one that it names does not run.
func unseen(pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
}

// waitsForNode returns why the scheduler has found no node yet; false when it has, or has not
// looked.
func waitsForNode(pod *corev1.Pod) (why string, waits bool) {
	if pod.Spec.NodeName != "" {
		return "", false
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return brief(c.Message), true
		}
	}
	return "", false
}

// pulls reports whether an image is being fetched.
func pulls(events []*corev1.Event) bool {
	pulling := false
	for _, e := range ordered(events) {
		switch e.Reason {
		case "Pulling":
			pulling = true
		case "Pulled":
			pulling = false
		}
	}
	return pulling
}
