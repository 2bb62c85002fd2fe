package enforce

import (
	"maps"
	"net/netip"
	"sync"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/attach"
)

// owners is what the CNI plugin said about addresses. It is ahead of the API, in which a pod has no address yet when it starts, and still has one for a while
// when the address may be another pod's already.
type owners struct {
	mu       sync.Mutex
	has      map[netip.Addr]string // address → UID of its pod
	returned map[netip.Addr]string // address → UID of the pod that gave it back last
}

func newOwners() owners {
	return owners{has: map[netip.Addr]string{}, returned: map[netip.Addr]string{}}
}

func (o *owners) attach(pod attach.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.has, func(_ netip.Addr, uid string) bool { return uid == pod.UID }) // of a sandbox before, whose end was not told
	o.has[pod.Address] = pod.UID
	delete(o.returned, pod.Address)
}

func (o *owners) detach(pod attach.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if owner, owned := o.has[pod.Address]; owned && owner != pod.UID {
		return // it is another pod's already
	}
	delete(o.has, pod.Address)
	o.returned[pod.Address] = pod.UID
}

// correct gives pods the addresses that the plugin said, and takes away those that are no longer theirs.
func (o *owners) correct(pods []policy.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	given := make(map[string]netip.Addr, len(o.has))
	for address, uid := range o.has {
		given[uid] = address
	}
	live := make(map[string]bool, len(pods))
	for i := range pods {
		pod := &pods[i]
		live[pod.UID] = true
		if address, known := given[pod.UID]; known {
			pod.Address = address
			continue
		}
		owner, owned := o.has[pod.Address]
		if owned && owner != pod.UID || o.returned[pod.Address] == pod.UID {
			pod.Address = netip.Addr{}
		}
	}
	for address, uid := range o.returned {
		if !live[uid] {
			delete(o.returned, address)
		}
	}
}
