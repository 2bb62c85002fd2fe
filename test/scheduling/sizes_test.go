package scheduling

import (
	"fmt"
	"testing"
)

// TestSpreadCountsEachSizeForItself: small and large servers start in turn. Counted all alike, each
// large one would come to the same node, and that node would be full while the other is nearly empty.
func TestSpreadCountsEachSizeForItself(t *testing.T) {
	w := newWorld(t, "spread")
	small, large := lab(), lab()
	small.Override.CPUGuarantee, small.Override.MemGuarantee = "0.1", "256M"
	large.Override.CPUGuarantee, large.Override.MemGuarantee = "1", "1G"
	const most = 1 << 30 // what a large one takes
	all, memory := map[string]int{}, map[string]int{}
	for _, name := range []string{"a", "b"} {
		node := w.node(name, paper())
		all[node], memory[node] = 0, 0
	}
	for n := range 24 {
		p := small
		if n%2 == 1 {
			p = large
		}
		pod := w.pod(fmt.Sprint("u", n), p)
		node := w.placed(w.create(pod))
		all[node]++
		memory[node] += int(pod.Spec.Containers[0].Resources.Requests.Memory().Value())
		if difference(all) > 1 || difference(memory) > most {
			t.Fatalf("after %d servers the nodes have %v with %v bytes", n+1, all, memory)
		}
	}
}
