package spawn

import (
	"slices"
	"testing"

	"github.com/perijove/perijove/pkg/server"
)

func TestShortage(t *testing.T) {
	const no = "No node of several"
	for name, c := range map[string]struct {
		why    string
		scarce []string
		fits   bool
	}{
		"one node, no cores":            {"0/1 nodes are available: 1 Insufficient cpu.", []string{"cpu"}, true},
		"what preemption says is other": {"0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.", []string{"nvidia.com/gpu"}, true},
		"older words of preemption":     {"0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod..", []string{"memory"}, true},
		"cores and memory":              {"0/2 nodes are available: 2 Insufficient memory, 2 Insufficient cpu.", []string{"cpu", "memory"}, true},
		"nodes that are for others":     {"0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient nvidia.com/mig-1g.5gb.", []string{"nvidia.com/mig-1g.5gb"}, true},
		"nodes with a GPU lack cores":   {"0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu.", nil, true},
		"some lack more than others":    {"0/3 nodes are available: 1 Insufficient cpu, 3 Insufficient nvidia.com/gpu.", []string{"nvidia.com/gpu"}, true},
		"full of pods":                  {"0/1 nodes are available: 1 Too many pods.", nil, true},
		"no such node":                  {"0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", nil, false},
		"no such node among two kinds":  {"0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 node(s) didn't match Pod's node affinity/selector.", nil, false},
		"a cluster without nodes":       {"no nodes available to schedule pods", nil, false},
		"larger than every node":        {"0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.", nil, false},
		"larger than one of two nodes":  {"0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.", []string{"cpu"}, true},
		"one is full, one cordoned":     {"0/2 nodes are available: 1 Insufficient memory, 1 node(s) were unschedulable. preemption: 0/2 nodes are available: 1 Preemption is not helpful for scheduling, 1 No preemption victims found for incoming pod.", []string{"memory"}, true},
		"nothing":                       {"", nil, true},
		"no end":                        {"0/1 nodes are available: 999999999999999999999 Insufficient cpu", nil, true},
		"other words":                   {no, nil, true},
	} {
		if scarce, fits := shortage(c.why); !slices.Equal(scarce, c.scarce) || fits != c.fits {
			t.Errorf("%s: %v, %v", name, scarce, fits)
		}
	}
}

// TestWaitsSaysWhatIsMissing: the user reads how much of what the server waits for.
func TestWaitsSaysWhatIsMissing(t *testing.T) {
	pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce, Profile: Profile{Override: Override{
		Image: "example.org/lab:1", CPUGuarantee: "1.5", MemGuarantee: "2G", ExtraResourceLimits: map[string]Amount{"nvidia.com/gpu": "2", "example.org/fpga": "1"},
	}}})
	for why, want := range map[string]struct {
		message Message
		need    string
	}{
		"0/1 nodes are available: 1 Insufficient cpu.":                                         {MsgNoCores, "1.5"},
		"0/1 nodes are available: 1 Insufficient memory.":                                      {MsgNoMemory, "2 GiB"},
		"0/1 nodes are available: 1 Insufficient nvidia.com/gpu.":                              {MsgNoGPU, "2"},
		"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu.":          {MsgNoGPU, "2"},
		"0/1 nodes are available: 1 Insufficient example.org/fpga.":                            {MsgNoDevice, "1"},
		"0/1 nodes are available: 1 Insufficient ephemeral-storage.":                           {MsgUnschedulable, ""},
		"0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.":                  {MsgNoCoresAndMemory, ""},
		"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.":        {MsgNoNode, ""},
		"0/2 nodes are available: 1 Insufficient cpu, 1 Insufficient nvidia.com/gpu.":          {MsgUnschedulable, ""},
		"0/1 nodes are available: 1 Insufficient \xff/gpu, 1 Insufficient gpu.intel.com/i915.": {MsgUnschedulable, ""},
	} {
		if got := waits(pod, why); got.Message != want.message || got.Data["Need"] != want.need || got.Detail != why {
			t.Errorf("%s: %+v", why, got)
		}
	}
}

func FuzzShortage(f *testing.F) {
	f.Add("0/3 nodes are available: 1 node(s) had untolerated taint {a: }, 2 Insufficient nvidia.com/gpu. preemption: 0/3")
	f.Add("0/999999 nodes are available: 1 Insufficient , 1 Insufficient ..., 2")
	f.Fuzz(func(t *testing.T, why string) {
		scarce, fits := shortage(why)
		if len(scarce) > 0 && !fits || slices.Contains(scarce, "") {
			t.Errorf("%q: %q, %v", why, scarce, fits)
		}
	})
}
