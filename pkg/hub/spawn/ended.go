package spawn

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/trail"
)

// evicted returns the kubelet's event that it evicted a pod that has ended, nil for none. Jupyter
// ends in peace when it is told to, and then the pod's own status says nothing of the eviction.
func evicted(pod *corev1.Pod, events []*corev1.Event) *corev1.Event {
	for _, e := range events {
		if final(pod) && e.Reason == reasonEvicted && !aboutClaim(e) {
			return e
		}
	}
	return nil
}

// reasonEvicted is what the kubelet calls it.
const reasonEvicted = "Evicted"

// HowEnded says of a pod that takes nothing any more how it came to that. One that was deleted
// while it ran was stopped.
func HowEnded(pod *corev1.Pod) trail.What {
	switch {
	case pod == nil || !final(pod):
		return trail.Stopped
	case aged(pod) && pod.Annotations[contract.AnnotationCulled] != "":
		return trail.Culled
	case aged(pod):
		return trail.Aged
	case pod.Status.Phase == corev1.PodSucceeded:
		return trail.Ended
	}
	return trail.Failed
}

// endedBy says why the cluster ended a pod for good. Reasons are the kubelet's
// (k8s.io/kubernetes: its packages eviction, nodeshutdown and lifecycle).
func endedBy(reason, message string) Step {
	text := brief(message)
	s := Step{Message: MsgPod, Data: map[string]string{"Reason": reason}, Detail: text}
	switch {
	case reason == reasonEvicted && overDisk(text):
		s.Message = MsgDisk
	case reason == reasonEvicted:
		s.Message = MsgEvicted
	case reason == "Terminated" || reason == "NodeShutdown" || reason == "Shutdown":
		s.Message = MsgShutdown
	case strings.HasPrefix(reason, "OutOf") || reason == "UnexpectedAdmissionError" || reason == "NodeAffinity":
		s.Message = MsgNotTaken
	}
	return s
}

// overDisk recognises an eviction for what the server itself wrote, outside a volume or into
// a home that is none; other evictions are for what the node lacks.
func overDisk(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "exceed") && (strings.Contains(text, "ephemeral") || strings.Contains(text, "emptydir"))
}
