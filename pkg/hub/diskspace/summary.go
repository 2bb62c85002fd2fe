package diskspace

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// claim is a PersistentVolumeClaim.
type claim struct{ Name, Namespace string }

// volume names one on a node: by its claim or, where it has none, by its pod's UID and its name there.
type volume struct {
	claim     claim
	pod, name string
}

// maxReply bounds a kubelet's answer: about 3 KB for each pod, and a node has a few hundred.
const maxReply = 16 << 20

// figures are what is kept of a kubelet's answer.
type figures struct {
	spaces map[volume]spawn.Space
	pods   map[string]spawn.Consumption // by the pod's UID
}

// podStats is what is read of one pod in a kubelet's summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1).
type podStats struct {
	PodRef     struct{ UID string }
	Containers []struct {
		Name   string
		CPU    struct{ UsageNanoCores *uint64 }
		Memory struct{ WorkingSetBytes *uint64 }
	}
	Volume []struct {
		Name                          string
		PVCRef                        *claim
		AvailableBytes, CapacityBytes uint64
	}
}

// most is more than any node has of anything.
const most = 1 << 62

// read reads a kubelet's summary. Figures that make no sense are left out.
func read(body io.Reader) (figures, error) {
	var reply struct{ Pods []podStats }
	limited := &io.LimitedReader{R: body, N: maxReply + 1}
	if err := json.NewDecoder(limited).Decode(&reply); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("it is longer than %d bytes", maxReply)
		}
		return figures{}, fmt.Errorf("read the summary: %w", err)
	}
	all := figures{map[volume]spawn.Space{}, map[string]spawn.Consumption{}}
	for _, pod := range reply.Pods {
		if pod.PodRef.UID != "" {
			all.pods[pod.PodRef.UID] = pod.consumption()
		}
		for _, v := range pod.Volume {
			if v.CapacityBytes == 0 || v.CapacityBytes > most || v.AvailableBytes > v.CapacityBytes {
				continue
			}
			at := volume{pod: pod.PodRef.UID, name: v.Name}
			if v.PVCRef != nil {
				at = volume{claim: *v.PVCRef}
			}
			all.spaces[at] = spawn.Space{Free: int64(v.AvailableBytes), Total: int64(v.CapacityBytes)}
		}
	}
	return all, nil
}

// consumption is what a server's container takes, as far as the kubelet says it.
func (p podStats) consumption() (c spawn.Consumption) {
	const nanoPerMilli = 1_000_000
	for _, one := range p.Containers {
		if one.Name != spawn.Container {
			continue
		}
		if n := one.CPU.UsageNanoCores; n != nil && *n <= most {
			c.CPU = new(int64(*n / nanoPerMilli))
		}
		if n := one.Memory.WorkingSetBytes; n != nil && *n <= most {
			c.Memory = new(int64(*n))
		}
	}
	return c
}
