package spawn

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// aboutClaim reports whether an event is about a volume claim and not about the pod.
func aboutClaim(e *corev1.Event) bool { return e.InvolvedObject.Kind == "PersistentVolumeClaim" }

// namesVolume reports whether the scheduler's words are about a volume: an unbound claim, a
// StorageClass that is not there, a volume of another zone.
func namesVolume(message string) bool {
	message = strings.ToLower(message)
	return strings.Contains(message, "volume") || strings.Contains(message, "storageclass")
}

// volumeTrouble returns what keeps a pod's volume from being there. The claim's own events say
// it best; where they are gone, the scheduler's words remain. A pod that has a node has its
// volumes, or says so itself (see stuckMount).
func volumeTrouble(pod *corev1.Pod, events []*corev1.Event) (why string, ok bool) {
	if pod.Spec.NodeName != "" {
		return "", false
	}
	if why = claimTrouble(pod, events); why != "" {
		return why, true
	}
	why, waits := waitsForNode(pod)
	return why, waits && namesVolume(why)
}

// claimTrouble returns what the latest events of the pod's claims complain of, "" for nothing.
// Complaints from before the pod are no news: a claim outlives pods. They are repeated every
// few seconds as long as they hold.
func claimTrouble(pod *corev1.Pod, events []*corev1.Event) (why string) {
	for _, e := range ordered(events) {
		if !aboutClaim(e) || !since(pod, e) || strings.Contains(e.Reason, "Resiz") || e.Reason == "ExternalExpanding" {
			continue // a home that does not grow keeps no pod from starting
		}
		switch {
		case e.Reason == "ProvisioningSucceeded":
			why = ""
		case e.Type == corev1.EventTypeWarning, e.Reason == "FailedBinding", e.Reason == "ExternalProvisioning":
			why = brief(e.Message)
		}
	}
	return why
}

// since reports whether an event of a claim is not from before the pod.
func since(pod *corev1.Pod, e *corev1.Event) bool {
	const before = 5 * time.Second // the claim is created first, and times have whole seconds
	return !latest(e).Before(Began(pod).Add(-before))
}

// notEnlarged reports whether an event says that a claim's volume did not become as large as
// the claim asks for: the API took the wish, and the volume's driver cannot fulfil it.
func notEnlarged(pod *corev1.Pod, e *corev1.Event) bool {
	return aboutClaim(e) && since(pod, e) && (e.Reason == "VolumeResizeFailed" || e.Reason == "FileSystemResizeFailed")
}
