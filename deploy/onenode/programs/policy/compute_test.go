package policy_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

var update = flag.CommandLine.Bool("update", false, "rewrite the golden files")

// TestGoldens: testdata/*.txtar hold objects as kubectl takes them, and what becomes of them on node one.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			table, faults := policy.Compute(parse(t, archive.Files[0].Data))
			got := dump(table, faults)
			if *update {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "rules", Data: got})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) < 2 || !bytes.Equal(got, archive.Files[1].Data) {
				t.Errorf("run go test -update and look at the difference:\n%s", got)
			}
		})
	}
}

func parse(t *testing.T, objects []byte) policy.Cluster {
	t.Helper()
	cluster := policy.Cluster{Namespaces: map[string]map[string]string{}}
	for text := range bytes.SplitSeq(objects, []byte("---\n")) {
		var kind struct{ Kind string }
		must(t, yaml.Unmarshal(text, &kind))
		switch kind.Kind {
		case "Namespace":
			var namespace corev1.Namespace
			must(t, yaml.UnmarshalStrict(text, &namespace))
			cluster.Namespaces[namespace.Name] = namespace.Labels
		case "Pod":
			var pod corev1.Pod
			must(t, yaml.UnmarshalStrict(text, &pod))
			if p, ok := policy.FromPod(&pod, "one"); ok {
				cluster.Pods = append(cluster.Pods, p)
			}
		case "NetworkPolicy":
			var p networkingv1.NetworkPolicy
			must(t, yaml.UnmarshalStrict(text, &p))
			cluster.Policies = append(cluster.Policies, &p)
		default:
			t.Fatalf("what is %q?", kind.Kind)
		}
	}
	return cluster
}

func dump(table policy.Table, faults []string) []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(table.Sets)) {
		set := table.Sets[name]
		fmt.Fprintf(&out, "set %s (%s) %s\n", name, set.Type, set.Comment)
		for _, key := range slices.Sorted(maps.Keys(set.Elements)) {
			fmt.Fprintln(&out, strings.TrimRight("  "+key+" "+set.Elements[key], " "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table.Chains)) {
		fmt.Fprintf(&out, "chain %s\n", name)
		for _, text := range table.Chains[name].Texts() {
			fmt.Fprintf(&out, "  %s\n", text)
		}
	}
	for _, fault := range faults {
		fmt.Fprintf(&out, "fault %s\n", fault)
	}
	return out.Bytes()
}

// TestNewestPodHasTheAddress: of two pods with one address, the newer one gets its rules, in whatever order they come.
func TestNewestPodHasTheAddress(t *testing.T) {
	older := policy.Pod{Namespace: "a", Name: "older", UID: "1", Local: true, Address: alice, Labels: map[string]string{"user": "admin"}, Created: time.Unix(1, 0)}
	newer := policy.Pod{Namespace: "a", Name: "newer", UID: "2", Local: true, Address: alice, Created: time.Unix(2, 0)}
	admins := deny("Ingress")
	admins.Namespace, admins.Spec.PodSelector.MatchLabels = "a", older.Labels
	for _, pods := range [][]policy.Pod{{older, newer}, {newer, older}} {
		table, faults := policy.Compute(policy.Cluster{Pods: pods, Policies: []*networkingv1.NetworkPolicy{admins}})
		if len(table.Sets[string(policy.Ingress)].Elements) != 0 || len(faults) != 1 {
			t.Errorf("%s first: %v %q", pods[0].Name, table.Sets[string(policy.Ingress)], faults)
		}
	}
}

// TestNamesCannotBreakOut: whatever a name has in it, it stays one word in what nft reads.
func TestNamesCannotBreakOut(t *testing.T) {
	evil := deny("Ingress")
	evil.Namespace, evil.Name = "servers", "x\n flush ruleset; \"{}@"
	evil.Spec.PodSelector.MatchLabels = map[string]string{"user": "alice"}
	evil.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	table, _ := policy.Compute(aliceAndMallory(evil))
	for _, words := range [][]string{slices.Collect(maps.Keys(table.Sets)), slices.Collect(maps.Keys(table.Chains))} {
		for _, name := range words {
			if strings.ContainsAny(name, "\n ;{}\"@") || len(name) > 200 {
				t.Errorf("name %q", name)
			}
		}
	}
}

// BenchmarkCompute: 500 policies, each with its own selectors, and 500 pods.
func BenchmarkCompute(b *testing.B) {
	cluster := large(500, 500)
	for b.Loop() {
		policy.Compute(cluster)
	}
}

// large is a cluster in which each policy selects about half of all pods, all in one namespace: the worst that a number of policies can do.
func large(policies, pods int) policy.Cluster {
	cluster := policy.Cluster{Namespaces: map[string]map[string]string{"servers": nil}}
	for i := range pods {
		labels := map[string]string{}
		for bit := range 10 {
			labels[fmt.Sprintf("bit%d", bit)] = fmt.Sprint(i >> bit & 1)
		}
		cluster.Pods = append(cluster.Pods, policy.Pod{
			Namespace: "servers", Name: fmt.Sprint(i), UID: fmt.Sprint(i), Local: true, Labels: labels,
			Address: netip.AddrFrom4([4]byte{10, 244, byte(i / 250), byte(i%250 + 2)}),
		})
	}
	for i := range policies {
		p := deny("Ingress", "Egress")
		p.Name = fmt.Sprint(i)
		p.Spec.PodSelector.MatchLabels = map[string]string{fmt.Sprintf("bit%d", i%10): "1"}
		peer := deny().Spec.PodSelector.DeepCopy()
		peer.MatchLabels = map[string]string{fmt.Sprintf("bit%d", i%9): "0", fmt.Sprintf("bit%d", i%10): "0"}
		peers := []networkingv1.NetworkPolicyPeer{{PodSelector: peer}}
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers}}
		p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: peers}}
		cluster.Policies = append(cluster.Policies, p)
	}
	return cluster
}
