package enforce

import (
	"context"
	"net/netip"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/knftables"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

var node = policy.Node{Range: netip.MustParsePrefix("10.244.0.0/16"), Bridge: "pjpol0"}

func allPods(namespace string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all"}, Spec: networkingv1.NetworkPolicySpec{
		Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
	}}
}

func twoPods() policy.Cluster {
	return policy.Cluster{
		Namespaces: map[string]map[string]string{"a": nil},
		Pods: []policy.Pod{
			{Namespace: "a", Name: "one", UID: "1", Local: true, Address: netip.MustParseAddr("10.244.0.5")},
			{Namespace: "a", Name: "two", UID: "2", Local: true, Address: netip.MustParseAddr("10.244.0.6")},
		},
		Policies: []*networkingv1.NetworkPolicy{allPods("a")},
	}
}

// written returns what a fresh writer makes of the cluster.
func written(t *testing.T, cluster policy.Cluster) string {
	t.Helper()
	fake := knftables.NewFake(knftables.InetFamily, TableName)
	write(t, NewWriter(fake, node), cluster)
	return fake.Dump()
}

func write(t *testing.T, w *Writer, cluster policy.Cluster) (operations int) {
	t.Helper()
	table, faults := policy.Compute(cluster)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	operations, err := w.Write(context.Background(), table)
	if err != nil {
		t.Fatal(err)
	}
	return operations
}

// TestChangesComeToTheSame: after any change the table is the one that a fresh writer makes, with few operations.
func TestChangesComeToTheSame(t *testing.T) {
	fake := knftables.NewFake(knftables.InetFamily, TableName)
	w := NewWriter(fake, node)
	cluster := twoPods()
	write(t, w, cluster)
	if n := write(t, w, cluster); n != 0 {
		t.Errorf("no change: %d operations", n)
	}
	for _, step := range []struct {
		name   string
		most   int
		change func()
	}{
		{"a pod more", 4, func() {
			cluster.Pods = append(cluster.Pods, policy.Pod{Namespace: "a", Name: "three", UID: "3", Local: true, Address: netip.MustParseAddr("10.244.0.7")})
		}},
		{"a pod of another node", 1, func() {
			cluster.Pods = append(cluster.Pods, policy.Pod{Namespace: "a", Name: "four", UID: "4", Address: netip.MustParseAddr("10.244.1.7")})
		}},
		{"a pod less", 4, func() { cluster.Pods = cluster.Pods[1:] }},
		{"a policy more", 20, func() {
			more := allPods("a")
			more.Name, more.Spec.PodSelector = "more", metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
			more.Spec.PolicyTypes = []networkingv1.PolicyType{"Ingress", "Egress"}
			cluster.Policies = append(cluster.Policies, more)
		}},
		{"other labels", 3, func() { cluster.Pods[0].Labels = map[string]string{"app": "x"} }},
		{"no policy", 20, func() { cluster.Policies = nil }},
		{"policies again", 20, func() { cluster.Policies = []*networkingv1.NetworkPolicy{allPods("a"), allPods("b")} }},
	} {
		step.change()
		if n := write(t, w, cluster); n == 0 || n > step.most {
			t.Errorf("%s: %d operations, want 1 to %d", step.name, n, step.most)
		}
		if got, want := fake.Dump(), written(t, cluster); sortedLines(got) != sortedLines(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", step.name, got, want)
		}
	}
}

// TestFailedWriteIsMadeUp: a transaction that fails leaves the old table, and the next Write leaves no trace of the failure.
func TestFailedWriteIsMadeUp(t *testing.T) {
	fake := knftables.NewFake(knftables.InetFamily, TableName)
	w := NewWriter(fake, node)
	cluster := twoPods()
	write(t, w, cluster)
	before := fake.Dump()
	table, _ := policy.Compute(cluster)
	broken := policy.Table{Sets: table.Sets, Chains: map[string]policy.Chain{"x": {Rules: []policy.Rule{{Peers: "no-such-set", Then: policy.Accept}}}}}
	if _, err := w.Write(context.Background(), broken); err == nil {
		t.Fatal("a rule with a set that is not there was written")
	}
	if fake.Dump() != before {
		t.Error("a failed transaction changed the table")
	}
	write(t, w, cluster)
	if sortedLines(fake.Dump()) != sortedLines(before) {
		t.Errorf("after the failure: %s", fake.Dump())
	}
}

// TestTakesOverAnothersTable: an enforcer that starts replaces what its predecessor left, and one whose table was flushed writes it again.
func TestTakesOverAnothersTable(t *testing.T) {
	fake := knftables.NewFake(knftables.InetFamily, TableName)
	older := twoPods()
	older.Policies = append(older.Policies, allPods("b"))
	write(t, NewWriter(fake, node), older)
	w := NewWriter(fake, node)
	write(t, w, twoPods())
	if got, want := fake.Dump(), written(t, twoPods()); sortedLines(got) != sortedLines(want) {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
	tx := fake.NewTransaction()
	tx.Delete(&knftables.Table{})
	if err := fake.Run(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if n := write(t, w, twoPods()); n != 0 {
		t.Fatalf("%d operations, though the writer cannot know yet", n)
	}
	if err := w.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, w, twoPods())
	if got, want := fake.Dump(), written(t, twoPods()); sortedLines(got) != sortedLines(want) {
		t.Errorf("%s\nwant:\n%s", got, want)
	}
}
