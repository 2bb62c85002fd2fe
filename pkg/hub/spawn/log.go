package spawn

import corev1 "k8s.io/api/core/v1"

// LogLines is how many lines of each run are shown.
const LogLines = 100

// Log is the end of what a server wrote. It is untrusted, to be escaped.
type Log struct {
	Now    string // the run that goes on, or the last one
	Before string // the run before it, where the container has been started again
}

// Restarts reports whether Kubernetes has started a pod's container more than once, so that there is
// a log of the run before.
func Restarts(pod *corev1.Pod) bool { return containerStatus(pod).RestartCount > 0 }
