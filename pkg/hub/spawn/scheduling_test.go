package spawn

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

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
	server := Pod(site, Spec{ID: server.ID{User: "bob", Name: "second"}, Nonce: nonce}).Labels
	for what, s := range map[string]*metav1.LabelSelector{"apart": apart.TopologySpreadConstraints[0].LabelSelector, "together": term.LabelSelector} {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil || !selector.Matches(labels.Set(server)) || selector.Matches(labels.Set{"app": "x"}) {
			t.Errorf("%s counts by %s, %v", what, selector, err)
		}
	}
}
