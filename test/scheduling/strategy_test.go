package scheduling

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// fill starts servers one after the other and tells step what the nodes have after each.
func (w *world) fill(servers int, p spawn.Profile, nodes []string, step func(n int, on map[string]int)) {
	w.t.Helper()
	on := map[string]int{}
	for _, node := range nodes {
		on[node] = 0
	}
	for n := range servers {
		on[w.placed(w.create(w.pod(fmt.Sprint("u", n), p)))]++
		step(n+1, on)
	}
}

func difference(on map[string]int) int {
	counts := slices.Collect(maps.Values(on))
	return slices.Max(counts) - slices.Min(counts)
}

// used counts the nodes that have a server.
func used(on map[string]int) (n int) {
	for _, servers := range on {
		n += min(servers, 1)
	}
	return n
}

// TestSpreadIsEvenAtEveryStep: however many users there are, no node has two servers more than another,
// also where a server is so small that the shares of CPU and memory do not show it.
func TestSpreadIsEvenAtEveryStep(t *testing.T) {
	small := lab()
	small.Override.CPUGuarantee, small.Override.MemGuarantee = "0.01", "8M"
	for name, c := range map[string]struct {
		nodes, servers int
		profile        spawn.Profile
	}{"paper": {2, 32, lab()}, "ten": {10, 35, lab()}, "small": {3, 40, small}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "spread")
			var nodes []string
			for n := range c.nodes {
				nodes = append(nodes, w.node(fmt.Sprint(n), paper()))
			}
			w.fill(c.servers, c.profile, nodes, func(n int, on map[string]int) {
				if difference(on) > 1 {
					t.Fatalf("with %d servers the nodes have %v", n, on)
				}
			})
		})
	}
}

// TestSpreadGoesOnWhereThereIsRoom: a node that is smaller than the others is full first; servers go on
// to the others and do not wait for it.
func TestSpreadGoesOnWhereThereIsRoom(t *testing.T) {
	w := newWorld(t, "spread")
	little := w.node("little", room("2", "8Gi"))
	nodes := []string{little, w.node("large", paper())}
	w.fill(8, lab(), nodes, func(n int, on map[string]int) {
		if n == 8 && on[little] != 2 {
			t.Errorf("the nodes have %v", on)
		}
	})
}

// TestPackFillsOneNodeAfterTheOther: nodes without servers stay so while others have room, also where a
// server is so small that the shares of CPU and memory do not show it.
func TestPackFillsOneNodeAfterTheOther(t *testing.T) {
	small := lab()
	small.Override.CPUGuarantee, small.Override.MemGuarantee = "0.01", "8M"
	for name, c := range map[string]struct {
		profile       spawn.Profile
		servers, fits int
	}{"cores": {lab(), 32, 16}, "small": {small, 30, 110}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "pack")
			nodes := []string{w.node("a", paper()), w.node("b", paper()), w.node("c", paper())}
			w.fill(c.servers, c.profile, nodes, func(n int, on map[string]int) {
				if want := (n + c.fits - 1) / c.fits; used(on) != want {
					t.Fatalf("%d servers are on %d nodes, %d have room for them: %v", n, used(on), want, on)
				}
			})
		})
	}
}

// TestPreferNoScheduleComesBeforeTheSum: a node that wants no new pods is taken last, whatever the
// strategy's scores say.
func TestPreferNoScheduleComesBeforeTheSum(t *testing.T) {
	for _, release := range []string{"spread", "pack", "weights"} {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t, release)
			leaves := w.node("leaves", paper(), func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "perijove.test/leaves", Effect: corev1.TaintEffectPreferNoSchedule}}
			})
			nodes := []string{leaves, w.node("stays", room("4", "8Gi"))}
			w.fill(5, lab(), nodes, func(n int, on map[string]int) {
				if want := n / 5; on[leaves] != want {
					t.Errorf("of %d servers %d are on the node that wants none, want %d", n, on[leaves], want)
				}
			})
		})
	}
}

// TestNeighboursAreNeeded is the negative control: the shares of small servers are the same to the
// scheduler, so without a word of neighbours they are neither even nor together.
func TestNeighboursAreNeeded(t *testing.T) {
	small := lab()
	small.Override.CPUGuarantee, small.Override.MemGuarantee = "0.01", "8M"
	uneven, apart := false, false
	// Of nodes that are equal to it the scheduler may prefer one, so each is the first server's once.
	for _, first := range []string{"a", "b", "c"} {
		for _, release := range []string{"spread", "pack"} {
			t.Run(release+first, func(t *testing.T) {
				w := newWorld(t, release)
				w.Pods.Neighbours = spawn.Indifferent
				nodes := map[string]string{}
				for _, name := range []string{"a", "b", "c"} {
					nodes[name] = w.node(name, paper())
				}
				w.placed(w.create(w.pod("first", small, on(nodes[first]))))
				w.fill(8, small, slices.Collect(maps.Values(nodes)), func(_ int, have map[string]int) {
					have = maps.Clone(have)
					have[nodes[first]]++
					uneven, apart = uneven || release == "spread" && difference(have) > 1, apart || release == "pack" && used(have) > 1
				})
			})
		}
	}
	if !uneven || !apart {
		t.Errorf("servers are where they should be all the same: uneven %v, apart %v", uneven, apart)
	}
}

// TestWeightsDecide: one node is half full of others' pods and has no server, one has two servers. Each
// of the paper's scores alone sends the next server elsewhere.
func TestWeightsDecide(t *testing.T) {
	busy := func(cpu, memory string) spawn.Profile {
		p := lab()
		p.Override.CPUGuarantee, p.Override.MemGuarantee = spawn.Cores(cpu), spawn.Memory(memory)
		return p
	}
	for release, want := range map[string]string{
		"topology":  "others",  // it has no server
		"allocated": "servers", // it has 14 cores and 7 GB left, the other one 8 and 8
		"balanced":  "others",  // its cores are in use and its memory is not: the server takes memory
	} {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t, release)
			others, servers := w.node("others", paper()), w.node("servers", paper())
			other := w.pod("other", busy("8", "1M"), on(others))
			delete(other.Labels, "component")
			w.placed(w.create(other))
			w.placed(w.create(w.pod("a", lab(), on(servers))))
			w.placed(w.create(w.pod("b", lab(), on(servers))))
			got := w.placed(w.create(w.pod("next", busy("0.1", "2G"))))
			if got != map[string]string{"others": others, "servers": servers}[want] {
				t.Errorf("the next server is on %s", got)
			}
		})
	}
}

// on lets a pod be on one node only.
func on(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector[corev1.LabelHostname] = node }
}
