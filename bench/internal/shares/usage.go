package shares

import (
	"errors"
	"fmt"
	"time"
)

// Container names one container of a node.
type Container struct{ Namespace, Pod, Name string }

// Counters are what a kubelet tells of one container (https://kubernetes.io/docs/reference/instrumentation/node-metrics/).
type Counters struct {
	Started time.Time     // of this run of the container
	CPU     time.Duration // of processors, since it was started
	At      time.Time     // when CPU was read
	Memory  float64       // bytes, its working set
}

// Sample is what a kubelet tells of its containers at one time.
type Sample map[Container]Counters

// MemoryUsage is formula (8): the sum of the containers' memory on a node by the node's memory, in
// bytes.
func MemoryUsage(s Sample, has float64) (float64, error) {
	if !(has > 0) {
		return 0, errors.New("the node has no memory")
	}
	sum := 0.0
	for _, c := range s {
		sum += c.Memory
	}
	return sum / has, nil
}

// CPUUsage is formula (9): the sum of the processor time that containers used in an interval, by the
// interval and the node's cores.
//
// A kubelet reads each container's counter at a time of its own, so each has an interval of its own. A
// container that was started or started again within the interval begins at 0 with its start, and so
// does one that the first sample lacks. One that is gone counts nothing: how much it used until its
// end is not known.
func CPUUsage(before, after Sample, cores float64) (float64, error) {
	if !(cores > 0) {
		return 0, errors.New("the node has no processors")
	}
	sum := 0.0
	for name, now := range after {
		used, err := rate(before[name], now)
		if err != nil {
			return 0, fmt.Errorf("container %s of %s/%s: %w", name.Name, name.Namespace, name.Pod, err)
		}
		sum += used
	}
	return sum / cores, nil
}

// rate is how many processors a container used between two readings.
func rate(then, now Counters) (float64, error) {
	since, used := then.At, now.CPU-then.CPU
	if then.At.IsZero() || then.Started.Before(now.Started) || used < 0 {
		since, used = now.Started, now.CPU
	}
	if !now.At.After(since) {
		return 0, fmt.Errorf("was read at %s and at %s: there is no interval", since.Format(time.StampMilli), now.At.Format(time.StampMilli))
	}
	return used.Seconds() / now.At.Sub(since).Seconds(), nil
}
