package spawn

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// TestScheduling: what pods say of nodes is the installation's, and counts servers and no other pods.
func TestScheduling(t *testing.T) {
	pod := func(s Scheduling) corev1.PodSpec {
		where := site
		where.Scheduling = s
		return Pod(where, Spec{ID: server.ID{User: "alice"}, Profile: Profile{Slug: "lab"}, Nonce: nonce}).Spec
	}
	plain := pod(Scheduling{})
	if plain.SchedulerName != "" || plain.PriorityClassName != "" || plain.Affinity != nil || plain.TopologySpreadConstraints != nil {
		t.Errorf("a server of the cluster's own scheduler says %+v", plain)
	}
	apart := pod(Scheduling{Scheduler: "ours", PriorityClass: "class", Neighbours: Apart})
	if apart.SchedulerName != "ours" || apart.PriorityClassName != "class" || apart.Affinity != nil || len(apart.TopologySpreadConstraints) != 1 {
		t.Fatalf("apart: %+v", apart)
	}
	// With DoNotSchedule servers would wait for a node that is full.
	if c := apart.TopologySpreadConstraints[0]; c.TopologyKey != corev1.LabelHostname || c.WhenUnsatisfiable != corev1.ScheduleAnyway || c.MaxSkew != 1 {
		t.Errorf("apart: %+v", c)
	}
	together := pod(Scheduling{Neighbours: Together})
	if together.TopologySpreadConstraints != nil || together.Affinity.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil ||
		len(together.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Fatalf("together: %+v", together)
	}
	term := together.Affinity.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm
	other := func(o Override) labels.Set {
		return Pod(site, Spec{ID: server.ID{User: "bob", Name: "second"}, Profile: Profile{Slug: "x", Override: o}, Nonce: nonce}).Labels
	}
	small, large := other(Override{}), other(Override{MemGuarantee: "1G"})
	for what, c := range map[string]struct {
		by        *metav1.LabelSelector
		sameSizes bool
	}{"apart": {apart.TopologySpreadConstraints[0].LabelSelector, true}, "together": {term.LabelSelector, false}} {
		selector, err := metav1.LabelSelectorAsSelector(c.by)
		if err != nil || !selector.Matches(small) || selector.Matches(large) == c.sameSizes || selector.Matches(labels.Set{"app": "x"}) {
			t.Errorf("%s counts by %s, %v", what, selector, err)
		}
	}
}

// TestSizeIsALabel: Kubernetes takes it for every amount that a profile may have.
func TestSizeIsALabel(t *testing.T) {
	for _, c := range []struct {
		cpu  Cores
		mem  Memory
		want string
	}{{"", "", "0-0"}, {"0.1", "256M", "100m-256Mi"}, {"1.5", "1.5G", "1500m-1536Mi"}, {"1024", "123456789", "1024-123456789"}, {"2", "0.0001T", "2-109951163"}, {"0.25", "1e9", "250m-1000000000"}} {
		o := Override{CPUGuarantee: c.cpu, MemGuarantee: c.mem}
		got := Pod(site, Spec{ID: server.ID{User: "bob"}, Profile: Profile{Slug: "x", Override: o}, Nonce: nonce}).Labels[contract.LabelSize]
		if faults := validation.IsValidLabelValue(got); len(faults) > 0 || got != c.want {
			t.Errorf("%s, %s: %q, want %q; %v", c.cpu, c.mem, got, c.want, faults)
		}
	}
}

// TestTolerations: a server that asks for a device is let onto nodes that are kept for it, and no other is.
func TestTolerations(t *testing.T) {
	gpu := corev1.Toleration{Key: "nvidia.com/gpu", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
	for what, c := range map[string]struct {
		o    Override
		want []corev1.Toleration
	}{
		"no device":           {Override{}, nil},
		"a device":            {Override{ExtraResourceLimits: map[string]Amount{"nvidia.com/gpu": "1"}}, []corev1.Toleration{gpu}},
		"none of it":          {Override{ExtraResourceLimits: map[string]Amount{"nvidia.com/gpu": "0"}}, nil},
		"a disk is no device": {Override{ExtraResourceLimits: map[string]Amount{"ephemeral-storage": "1Gi"}}, nil},
		"said already": {Override{
			ExtraResourceLimits: map[string]Amount{"nvidia.com/gpu": "1"},
			Tolerations:         []Toleration{{Key: "nvidia.com/gpu", Operator: "Exists", Effect: "NoSchedule"}},
		}, []corev1.Toleration{gpu}},
		"beside others": {Override{
			ExtraResourceLimits: map[string]Amount{"nvidia.com/gpu": "1"}, Tolerations: []Toleration{{Key: "pool", Value: "gpu"}},
		}, []corev1.Toleration{{Key: "pool", Value: "gpu"}, gpu}},
	} {
		if have := c.o.tolerations(); !slices.Equal(have, c.want) {
			t.Errorf("%s: %v, want %v", what, have, c.want)
		}
	}
}
