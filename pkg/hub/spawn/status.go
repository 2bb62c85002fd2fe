package spawn

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Phase is where a server is in its life.
type Phase string

// Phases. Answering means that the pod answers; whether users can reach it yet is a
// question about routes (see routestatus), not about the pod.
const (
	Stopped   Phase = "stopped"
	Pending   Phase = "pending"
	Answering Phase = "answering"
	Stopping  Phase = "stopping"
	Failed    Phase = "failed"
)

// Status is what can be said about a server at one moment.
type Status struct {
	Phase Phase
	// Steps is everything that has happened, in order; the last one is now. It is
	// empty when Stopped.
	Steps []Step
}

// Now is the latest step.
func (s Status) Now() Step {
	if len(s.Steps) == 0 {
		return Step{}
	}
	return s.Steps[len(s.Steps)-1]
}

// Step is one thing that happened.
type Step struct {
	Percent int // 0-100, never falling
	Message Message
	Data    map[string]string
	Next    Message // a second sentence with the same data: when it works again; "" for none
	Detail  string  // Kubernetes' or the server's own words; untrusted, to be escaped
	Failed  bool
}

// Key is equal for the same step seen twice.
func (s Step) Key() string { return fmt.Sprint(s.Message, s.Data, s.Detail) }

// StatusOf says how far a server is. pod may be nil (no pod); events are those of the pod and
// of its home's claim, in any order. now and timeout decide whether a pending server has
// taken too long: timeout bounds the time until its container runs, and then the time until
// it answers.
func StatusOf(pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) Status {
	if pod == nil || ended(pod) && evicted(pod, events) == nil && pod.DeletionTimestamp == nil {
		return Status{Phase: Stopped}
	}
	if silent(pod, now) {
		return failure(pod, events, Step{Message: MsgSilent})
	}
	if lost(pod, now) {
		return failure(pod, events, Step{Message: MsgLost, Detail: brief(pod.Status.Message)})
	}
	if pod.DeletionTimestamp != nil {
		return Status{Phase: Stopping, Steps: []Step{{Percent: 0, Message: MsgStopping}}}
	}
	if expired(pod, now) {
		return Status{Phase: Stopping, Steps: []Step{{Message: MsgStopping}}}
	}
	if why, ok := failed(pod, events); ok {
		return failure(pod, events, why)
	}
	if IsAnswering(pod) && podmeta.Ready(pod) {
		return Status{Phase: Answering, Steps: append(report(pod, events), Step{Percent: percentAnswering, Message: MsgAnswering})}
	}
	if now.Sub(awaited(pod)) > timeout {
		return failure(pod, events, late(pod, events, timeout))
	}
	steps := report(pod, events)
	if slow(pod, now) {
		steps = append(steps, Step{Percent: steps[len(steps)-1].Percent, Message: MsgSlow})
	}
	return Status{Phase: Pending, Steps: steps}
}

// slowStart is how long a program runs without an answer before its user is told why that may be. JupyterLab takes
// one second by itself.
const slowStart = 15 * time.Second

// slow reports whether the program of a pod takes long to answer.
func slow(pod *corev1.Pod, now time.Time) bool {
	running := containerStatus(pod).State.Running
	return running != nil && !running.StartedAt.IsZero() && now.Sub(awaited(pod)) > slowStart && !IsAnswering(pod)
}

// failure is the end of a report.
func failure(pod *corev1.Pod, events []*corev1.Event, why Step) Status {
	steps := report(pod, events)
	why.Failed, why.Percent = true, steps[len(steps)-1].Percent
	return Status{Phase: Failed, Steps: append(steps, why)}
}

// awaited is the moment from which a server that does not answer yet is waited for: the start
// of its container, the end of the previous one, or the request.
func awaited(pod *corev1.Pod) time.Time {
	status, began := containerStatus(pod), Began(pod)
	if running := status.State.Running; running != nil && running.StartedAt.After(began) {
		return running.StartedAt.Time
	}
	if last := status.LastTerminationState.Terminated; last != nil && last.FinishedAt.After(began) {
		return last.FinishedAt.Time
	}
	return began
}

// ended reports whether the server finished as asked: Jupyter's own shutdown, after it had been
// in use, or the age that its profile gives it.
func ended(pod *corev1.Pod) bool {
	_, answered := condition(pod)
	return pod.Status.Phase == corev1.PodSucceeded && answered || aged(pod)
}

// final reports whether Kubernetes has ended the pod for good. What the pod's conditions say
// is from before.
func final(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// lost reports whether the pod's node is away: Kubernetes says so, or it deletes the pod for
// that reason and the node does not confirm it in time.
func lost(pod *corev1.Pod, now time.Time) bool {
	const patience = 30 * time.Second // after the grace period, which the timestamp has in it
	if pod.Status.Phase == corev1.PodUnknown || pod.Status.Reason == "NodeLost" {
		return true
	}
	if pod.DeletionTimestamp == nil || now.Sub(pod.DeletionTimestamp.Time) <= patience {
		return false
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason == "DeletionByTaintManager"
	})
}

// silent reports whether the pod's node has said nothing of it since the scheduler chose that node. A kubelet reports a pod as soon as it sees it, also when it
// can do nothing for it yet. The patience is longer than Kubernetes takes to call a node away (40 s, node-monitor-grace-period), so that the next start gets
// another node. Without this a user would wait until the start times out, for a pod that no machine has.
func silent(pod *corev1.Pod, now time.Time) bool {
	const patience = time.Minute
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodPending || pod.Status.StartTime != nil || len(pod.Status.ContainerStatuses) > 0 {
		return false
	}
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() && now.Sub(c.LastTransitionTime.Time) > patience
	})
}

// condition returns the answering condition, and whether it was ever written.
func condition(pod *corev1.Pod) (corev1.PodCondition, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == contract.ConditionAnswering {
			return c, true
		}
	}
	return corev1.PodCondition{}, false
}

// IsAnswering reports whether the container that runs now has been seen answering.
func IsAnswering(pod *corev1.Pod) bool {
	c, ok := condition(pod)
	return ok && !final(pod) && c.Status == corev1.ConditionTrue && c.Message == incarnation(pod)
}

// AnsweredAt returns when a pod's server was seen answering first or, of a pod that the spawner did
// not make, when Kubernetes found it ready; zero for neither.
func AnsweredAt(pod *corev1.Pod) time.Time {
	if c, ok := condition(pod); ok {
		return c.LastTransitionTime.Time
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// IsStale reports whether the pod claims to answer because of a container that has
// been replaced since: until it is corrected, users are routed to a server that starts.
func IsStale(pod *corev1.Pod) bool {
	c, ok := condition(pod)
	return ok && pod.DeletionTimestamp == nil && !final(pod) && c.Status == corev1.ConditionTrue && c.Message != incarnation(pod)
}

// Condition returns the answering condition to be written into the pod's status.
func Condition(pod *corev1.Pod, answering bool) corev1.PodCondition {
	c := corev1.PodCondition{
		Type:    contract.ConditionAnswering,
		Status:  corev1.ConditionFalse,
		Reason:  "Restarted",
		Message: incarnation(pod),
	}
	if answering {
		c.Status, c.Reason = corev1.ConditionTrue, "Answering"
	}
	return c
}

// incarnation tells one run of the container from the next. Timestamps cannot: they
// have whole seconds.
func incarnation(pod *corev1.Pod) string {
	return fmt.Sprintf("restart %d", containerStatus(pod).RestartCount)
}

// IsFirstRun reports whether the pod's container has not been started again yet.
func IsFirstRun(pod *corev1.Pod) bool { return containerStatus(pod).RestartCount == 0 }

// Run names the run of the pod's container, and whether it has begun: a server that waited for
// its image is asked as one that has just begun.
func Run(pod *corev1.Pod) string {
	return fmt.Sprint(incarnation(pod), " running ", containerStatus(pod).State.Running != nil)
}

// Target is where to ask a pod something.
type Target struct {
	Addr netip.AddrPort
	// ProofName is the name that the pod must prove; "" for a pod that speaks plain HTTP.
	ProofName string
}

// URL returns the address of a path at the pod.
func (t Target) URL(path string) string {
	if t.ProofName != "" {
		return "https://" + t.Addr.String() + path
	}
	return "http://" + t.Addr.String() + path
}

// ProbeTarget returns where to ask whether the server answers, and false when there is
// nothing to ask: no address yet, answered already, ended, going away.
func ProbeTarget(pod *corev1.Pod) (Target, bool) {
	if pod.DeletionTimestamp != nil || IsAnswering(pod) || final(pod) {
		return Target{}, false
	}
	return TargetOf(pod)
}

// TargetOf returns where to ask a pod something; false when it has no address yet, or one that is
// no pod's.
func TargetOf(pod *corev1.Pod) (Target, bool) {
	addr, addrErr := podmeta.Addr(pod)
	name, proofErr := podmeta.ProofName(pod)
	return Target{Addr: addr, ProofName: name}, addrErr == nil && proofErr == nil
}

// WaitsForSecret reports whether the pod cannot start because the secret is missing that
// should have followed it (step 3 in doc.go). The kubelet says so in the container's status,
// or, of a secret that is a volume, in an event only.
func WaitsForSecret(pod *corev1.Pod, events []*corev1.Event) bool {
	w := containerStatus(pod).State.Waiting
	if pod.DeletionTimestamp != nil || w == nil {
		return false
	}
	return missingSecret(pod, w.Message) || slices.ContainsFunc(events, func(e *corev1.Event) bool { return lacksSecret(pod, e) })
}

func containerStatus(pod *corev1.Pod) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s
		}
	}
	return corev1.ContainerStatus{}
}
