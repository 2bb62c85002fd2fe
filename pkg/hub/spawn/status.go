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
	Detail  string // Kubernetes' or the server's own words; untrusted, to be escaped
	Failed  bool
}

// Key is equal for the same step seen twice.
func (s Step) Key() string { return fmt.Sprint(s.Message, s.Data, s.Detail) }

// StatusOf says how far a server is. pod may be nil (no pod); events are the pod's own, in
// any order; now and timeout decide only whether a pending server has taken too long.
func StatusOf(pod *corev1.Pod, events []*corev1.Event, now time.Time, timeout time.Duration) Status {
	switch {
	case pod == nil:
		return Status{Phase: Stopped}
	case pod.DeletionTimestamp != nil:
		return Status{Phase: Stopping, Steps: []Step{{Percent: 0, Message: MsgStopping}}}
	case ended(pod):
		return Status{Phase: Stopped}
	}
	steps := report(pod, events)
	if failure, ok := failed(pod, events); ok {
		failure.Percent = steps[len(steps)-1].Percent
		return Status{Phase: Failed, Steps: append(steps, failure)}
	}
	if IsAnswering(pod) && podmeta.Ready(pod) {
		return Status{Phase: Answering, Steps: append(steps, Step{Percent: percentAnswering, Message: MsgAnswering})}
	}
	if now.Sub(pod.CreationTimestamp.Time) > timeout {
		return Status{Phase: Failed, Steps: append(steps, Step{
			Percent: steps[len(steps)-1].Percent, Message: MsgTimeout, Failed: true,
			Data: map[string]string{"Timeout": timeout.String()},
		})}
	}
	return Status{Phase: Pending, Steps: steps}
}

// ended reports whether the server finished as asked: Jupyter's own shutdown, after it
// had been in use.
func ended(pod *corev1.Pod) bool {
	_, answered := condition(pod)
	return pod.Status.Phase == corev1.PodSucceeded && answered
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
	return ok && c.Status == corev1.ConditionTrue && c.Message == incarnation(pod)
}

// IsStale reports whether the pod claims to answer because of a container that has
// been replaced since: until it is corrected, users are routed to a server that starts.
func IsStale(pod *corev1.Pod) bool {
	c, ok := condition(pod)
	return ok && pod.DeletionTimestamp == nil && c.Status == corev1.ConditionTrue && c.Message != incarnation(pod)
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
	if pod.DeletionTimestamp != nil || IsAnswering(pod) ||
		pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return Target{}, false
	}
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
