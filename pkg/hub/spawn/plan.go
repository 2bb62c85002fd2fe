package spawn

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Action is what a start does next.
type Action string

// Actions.
const (
	Create  Action = "create"  // there is no pod
	Await   Action = "await"   // the pod is being deleted: wait until it is gone, then create
	Replace Action = "replace" // the pod failed or ended: delete it, wait, then create
	Force   Action = "force"   // the pod's node is away: delete the pod without waiting for the node, then create
	Finish  Action = "finish"  // the pod starts: make what should follow it, should its creator have been killed
	Nothing Action = "nothing" // the server answers
)

// Plan says what a start does about the server's pod. Arguments are those of StatusOf.
func Plan(pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) Action {
	if pod == nil {
		return Create
	}
	if lost(pod, now) || silent(pod, now) {
		return Force
	}
	switch StatusOf(pod, events, now, timeout).Phase {
	case Stopping:
		if pod.DeletionTimestamp == nil { // at its age: Kubernetes ends it, and deletes nothing
			return Replace
		}
		return Await
	case Failed, Stopped:
		return Replace
	case Answering:
		return Nothing
	}
	return Finish
}
