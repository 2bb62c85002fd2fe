package diskspace

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// claim names a volume on one node.
type claim struct{ Namespace, Name string }

// maxReply bounds a kubelet's answer: about 3 KB for each pod, and a node has a few hundred.
const maxReply = 16 << 20

// read returns how full each claim is, from a kubelet's summary (k8s.io/kubelet/pkg/apis/stats/v1alpha1).
// Claims whose figures make no sense are left out.
func read(body io.Reader) (map[claim]spawn.Space, error) {
	var summary struct {
		Pods []struct {
			Volume []struct {
				PVCRef                        *claim
				AvailableBytes, CapacityBytes uint64
			}
		}
	}
	limited := &io.LimitedReader{R: body, N: maxReply + 1}
	if err := json.NewDecoder(limited).Decode(&summary); err != nil {
		if limited.N <= 0 {
			err = fmt.Errorf("it is longer than %d bytes", maxReply)
		}
		return nil, fmt.Errorf("read the summary: %w", err)
	}
	all := map[claim]spawn.Space{}
	for _, pod := range summary.Pods {
		for _, v := range pod.Volume {
			const most = 1 << 62
			if v.PVCRef != nil && v.CapacityBytes > 0 && v.CapacityBytes <= most && v.AvailableBytes <= v.CapacityBytes {
				all[*v.PVCRef] = spawn.Space{Free: int64(v.AvailableBytes), Total: int64(v.CapacityBytes)}
			}
		}
	}
	return all, nil
}
