package spawn

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// endedBy says why the cluster ended a pod for good. Reasons are the kubelet's
// (k8s.io/kubernetes: its packages eviction, nodeshutdown and lifecycle).
func endedBy(pod *corev1.Pod) Step {
	reason, text := pod.Status.Reason, brief(pod.Status.Message)
	s := Step{Message: MsgPod, Data: map[string]string{"Reason": reason}, Detail: text}
	switch {
	case reason == "Evicted" && overDisk(text):
		s.Message = MsgDisk
	case reason == "Evicted":
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
