package enforce

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/attach"
)

// note keeps what the kernel has now, for those who wait for it.
func (e *Enforcer) note(cluster policy.Cluster, table policy.Table, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure = err
	if err != nil {
		return
	}
	e.applied = make(map[string]string, len(cluster.Pods))
	for _, pod := range cluster.Pods {
		if _, known := table.Sets[policy.Known].Elements[pod.Address.String()]; known && pod.Local {
			e.applied[pod.UID] = pod.Address.String()
		}
	}
	close(e.written)
	e.written = make(chan struct{})
}

// await waits until the kernel's rules know the pod by the address, or no longer do.
func (e *Enforcer) await(ctx context.Context, pod attach.Pod, known bool) error {
	for {
		e.mu.Lock()
		now, next := e.applied[pod.UID] == pod.Address.String(), e.written
		e.mu.Unlock()
		if now == known {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("rules for pod %s/%s at %s: %w", pod.Namespace, pod.Name, pod.Address, ctx.Err())
		}
	}
}

// Attachments answers the CNI plugin.
func (e *Enforcer) Attachments() http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, tell func(attach.Pod), known bool) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var pod attach.Pod
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&pod); err != nil || pod.UID == "" || !pod.Address.Is4() {
				http.Error(w, "no pod", http.StatusBadRequest)
				return
			}
			tell(pod)
			e.change()
			err := e.await(r.Context(), pod, known)
			if err == nil {
				err = e.forget(addresses{pod.Address})
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})
	}
	answer(attach.Attach, e.owners.attach, true)
	answer(attach.Detach, e.owners.detach, false)
	return mux
}

// Health answers 200 unless the last write failed. Before the first one there is nothing to complain of: a new cluster gives the enforcer its rights only when all
// parts are well, and until it has them no pod starts.
func (e *Enforcer) Health() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.failure != nil {
			http.Error(w, e.failure.Error(), http.StatusServiceUnavailable)
		}
	})
}

// addresses matches connections that one of them is an end of, before or after a Service's address was put in its place.
type addresses []netip.Addr

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (a addresses) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	for _, address := range a {
		ip := address.AsSlice()
		for _, end := range [][]byte{flow.Forward.SrcIP.To4(), flow.Forward.DstIP.To4(), flow.Reverse.SrcIP.To4(), flow.Reverse.DstIP.To4()} {
			if string(end) == string(ip) {
				return true
			}
		}
	}
	return false
}

// Forget makes the kernel forget the connections of addresses. A connection that the pod before had would be let through to the pod that has its address now.
func Forget(a addresses) error {
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, a); err != nil {
		return fmt.Errorf("forget connections: %w", err)
	}
	return nil
}
