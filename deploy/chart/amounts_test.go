package chart

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// B-23: an amount may be written as Kubernetes, JupyterHub, YAML and --set have it. What
// counts is what the pod gets.
func testAmounts(t *testing.T, helm string) {
	for _, c := range []struct{ flag, set, cpu, memory, home string }{
		{"--set", "singleuser.cpu.limit=0.5", "500m", "2Gi", "1Gi"},
		{"--set", "singleuser.cpu.limit=500m", "500m", "2Gi", "1Gi"},
		{"--set", "singleuser.cpu.limit=3", "3", "2Gi", "1Gi"},
		{"--set-string", "singleuser.cpu.limit=3", "3", "2Gi", "1Gi"},
		{"--set-json", "singleuser.cpu.limit=1.5", "1500m", "2Gi", "1Gi"},
		{"--set", "singleuser.cpu.limit=0", "0", "2Gi", "1Gi"},
		{"--set", "singleuser.cpu.limit=null", "0", "2Gi", "1Gi"},
		{"--set", "singleuser.memory.limit=4294967296", "2", "4Gi", "1Gi"},
		{"--set-json", "singleuser.memory.limit=4294967296", "2", "4Gi", "1Gi"},
		{"--set-string", "singleuser.memory.limit=4294967296", "2", "4Gi", "1Gi"},
		{"--set", "singleuser.memory.limit=4G", "2", "4Gi", "1Gi"}, // as JupyterHub
		{"--set", "singleuser.memory.limit=4Gi", "2", "4Gi", "1Gi"},
		{"--set", "singleuser.memory.limit=1.5Gi", "2", "1536Mi", "1Gi"},
		{"--set", "singleuser.memory.limit=4e9", "2", "4e9", "1Gi"},
		{"--set", "singleuser.memory.limit=4294967296000m", "2", "4Gi", "1Gi"},
		{"--set", "singleuser.memory.limit=null", "2", "0", "1Gi"},
		{"--set", "singleuser.storage.capacity=10Gi", "2", "2Gi", "10Gi"},
		{"--set", "singleuser.storage.capacity=10737418240", "2", "2Gi", "10Gi"},
		{"--set-json", "singleuser.storage.capacity=10737418240", "2", "2Gi", "10Gi"},
		{"--set", "singleuser.storage.capacity=5e9", "2", "2Gi", "5e9"},
	} {
		profile := policy(t, helm, c.flag, c.set).Profiles[0]
		limits := spawn.Pod(spawn.Site{}, spawn.Spec{ID: server.ID{User: "x"}, Profile: profile}).Spec.Containers[0].Resources.Limits
		home := spawn.Claim(spawn.Site{}, profile, server.ID{User: "x"}).Spec.Resources.Requests[corev1.ResourceStorage]
		for what, pair := range map[string][2]resource.Quantity{
			"CPU":    {limits[corev1.ResourceCPU], resource.MustParse(c.cpu)},
			"memory": {limits[corev1.ResourceMemory], resource.MustParse(c.memory)},
			"home":   {home, resource.MustParse(c.home)},
		} {
			if pair[0].Cmp(pair[1]) != 0 {
				t.Errorf("%s %s: %s is %s, want %s", c.flag, c.set, what, pair[0].String(), pair[1].String())
			}
		}
	}
}
