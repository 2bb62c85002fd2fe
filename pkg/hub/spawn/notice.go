package spawn

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Notice is something that happened to a server in use, which its user would not see otherwise:
// the server runs again, and only its kernels are gone; or it ended by itself.
type Notice struct {
	Message Message
	Data    map[string]string
	At      time.Time
	// Expected is true for what the profile promised, and false for trouble.
	Expected bool
}

// noticeAge is how long users are told: long enough for one that comes back after a night, and
// no server carries a warning for weeks.
const noticeAge = 24 * time.Hour

// notices returns what the user of a pod should know at now, latest last. Kubernetes remembers
// one end of a container, so there is one notice at most.
func notices(pod *corev1.Pod, now time.Time) []Notice {
	exit := lastExit(containerStatus(pod))
	if exit == nil || exit.ExitCode == 0 || !inUse(pod) || now.Sub(exit.FinishedAt.Time) > noticeAge {
		return nil
	}
	n := Notice{Message: MsgNoticeRestarted, Data: map[string]string{"Code": strconv.Itoa(int(exit.ExitCode))}, At: exit.FinishedAt.Time}
	if outOfMemory(exit) {
		n.Message, n.Data = MsgNoticeOOM, limitOf(pod)
	}
	return []Notice{n}
}

// inUse reports whether a pod has answered once and goes on: it has not come to its end, and
// Kubernetes has not stopped restarting it at once.
func inUse(pod *corev1.Pod) bool {
	_, answered := condition(pod)
	return answered && !final(pod) && pod.DeletionTimestamp == nil && !backsOff(containerStatus(pod))
}

// backsOff reports whether Kubernetes waits before it starts a container once more.
func backsOff(status corev1.ContainerStatus) bool {
	return status.State.Waiting != nil && status.State.Waiting.Reason == "CrashLoopBackOff"
}

// outOfMemory reports whether the kernel of the node ended a container at its limit.
func outOfMemory(exit *corev1.ContainerStateTerminated) bool { return exit.Reason == "OOMKilled" }

// limitOf returns the memory that a pod's server may use, in words; "" for no limit.
func limitOf(pod *corev1.Pod) map[string]string {
	limit := ""
	for _, c := range pod.Spec.Containers {
		if q, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == container {
			limit = words(q.Value())
		}
	}
	return map[string]string{"Limit": limit}
}

// restarted is the step of a server that was in use, or had begun to start, and begins again.
func restarted(pod *corev1.Pod) (Step, bool) {
	status := containerStatus(pod)
	exit := lastExit(status)
	if exit == nil || status.State.Running == nil && !inUse(pod) {
		return Step{}, false
	}
	s := Step{Percent: percentScheduled, Message: MsgRestarted, Data: map[string]string{"Code": strconv.Itoa(int(exit.ExitCode))}}
	if status.State.Running != nil {
		s.Percent = percentStarted
	}
	if outOfMemory(exit) {
		s.Message, s.Data = MsgRestartedOOM, limitOf(pod)
	}
	return s, true
}
