package spawn

import (
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// waits is the step of a pod that the scheduler has found no node for. why is the scheduler's
// text, like "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {a: b}."
// (k8s.io/kubernetes/pkg/scheduler/framework, FitError). The step names what is missing where
// that is certain; the scheduler's own words are its details in any case.
func waits(pod *corev1.Pod, why string) Step {
	s := Step{Percent: percentWaiting, Message: MsgUnschedulable, Detail: why}
	scarce, fits := shortage(why)
	switch {
	case !fits:
		s.Message = MsgNoNode
	case len(scarce) == 2 && scarce[0] == "cpu" && scarce[1] == "memory":
		s.Message = MsgNoCoresAndMemory
		s.Data = map[string]string{"Cores": requested(pod, "cpu"), "Memory": requested(pod, "memory")}
	case len(scarce) > 0: // of several the last, which is a device if there is one
		s.Message, s.Data = lacks(pod, scarce[len(scarce)-1])
	}
	return s
}

// lacks is the sentence for one resource that a pod waits for.
func lacks(pod *corev1.Pod, name string) (Message, map[string]string) {
	data := map[string]string{"Need": requested(pod, name), "Resource": name}
	switch {
	case data["Need"] == "" || name == "ephemeral-storage":
		return MsgUnschedulable, nil
	case name == "cpu":
		return MsgNoCores, data
	case name == "memory":
		return MsgNoMemory, data
	case isGPU(name):
		return MsgNoGPU, data
	}
	return MsgNoDevice, data
}

var (
	nodesTried   = regexp.MustCompile(`^0/([0-9]{1,6}) nodes are available: `)
	nodesReason  = regexp.MustCompile(`(?:^|, )([0-9]{1,6}) (Insufficient ([A-Za-z0-9./_-]+)|Too many pods|[^,]+)`)
	notOfTheseOf = regexp.MustCompile(`preemption: |no new claims to deallocate`) // what follows is about other pods
	// neverFits counts nodes that would not do if they were empty: it would help nobody to end other
	// pods. A node that has less than the server wants is among them.
	neverFits = regexp.MustCompile(`preemption: 0/[0-9]{1,6} nodes are available: (?:[^:]*, )?([0-9]{1,6}) Preemption is not helpful for scheduling`)
)

// noNodes is what the scheduler says in a cluster without any node.
const noNodes = "no nodes available to schedule pods"

// shortage returns the resources that every node lacks that would do otherwise, in the order
// cpu, memory, then others by name. fits is false when no node would do, however empty. Where nodes lack
// different things, nothing is certain and scarce is empty.
func shortage(why string) (scarce []string, fits bool) {
	tried := nodesTried.FindStringSubmatch(why)
	if tried == nil {
		return nil, !strings.HasPrefix(why, noNodes)
	}
	if never := neverFits.FindStringSubmatch(why); never != nil && never[1] == tried[1] {
		return nil, false
	}
	reasons := why[len(tried[0]):]
	if end := notOfTheseOf.FindStringIndex(reasons); end != nil {
		reasons = reasons[:end[0]]
	}
	candidates, _ := strconv.Atoi(tried[1]) // digits
	lacking := map[string]int{}
	for _, m := range nodesReason.FindAllStringSubmatch(strings.TrimRight(reasons, ". "), -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		resource := strings.TrimRight(m[3], ".")
		switch {
		case resource != "":
			lacking[resource] += n
		case strings.HasPrefix(m[2], "node(s) "):
			candidates -= n
		}
	}
	if candidates <= 0 {
		return nil, false
	}
	for _, name := range append([]string{"cpu", "memory"}, sorted(lacking)...) {
		if lacking[name] >= candidates && lacking[name] > 0 {
			scarce = append(scarce, name)
		}
		delete(lacking, name)
	}
	return scarce, true
}

// isGPU recognises vendors' names of GPUs and of parts of them: nvidia.com/gpu,
// nvidia.com/mig-1g.5gb, amd.com/gpu, gpu.intel.com/i915.
func isGPU(resource string) bool {
	vendor, kind, _ := strings.Cut(resource, "/")
	return strings.HasPrefix(vendor, "gpu.") || strings.HasPrefix(kind, "gpu") || strings.HasPrefix(kind, "mig-")
}

// requested is how much of a resource is kept for a pod's server, in words; "" for none.
func requested(pod *corev1.Pod, name string) string {
	for _, c := range pod.Spec.Containers {
		resource := corev1.ResourceName(name)
		q, ok := c.Resources.Requests[resource]
		if !ok { // Kubernetes fills it in
			q, ok = c.Resources.Limits[resource]
		}
		switch {
		case c.Name != container || !ok:
		case name == "memory":
			return words(q.Value())
		default:
			return strconv.FormatFloat(float64(q.MilliValue())/1000, 'f', -1, 64)
		}
	}
	return ""
}
