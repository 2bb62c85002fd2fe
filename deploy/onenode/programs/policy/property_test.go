package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

// passes goes through a table's chains as the kernel does with a packet that opens a connection.
func passes(table policy.Table, direction policy.Direction, a attempt) bool {
	from, to := a.from.address.String(), a.to.address.String()
	if has(table, policy.Self, from+" . "+to) {
		return true
	}
	subject := to
	if direction == policy.Egress {
		subject = from
	}
	chain, isolated := table.Sets[string(direction)].Elements[subject]
	if !isolated {
		return true
	}
	return walk(table, chain, a) == policy.Accept
}

// walk returns the verdict of a chain, "" if the packet comes out at its end.
func walk(table policy.Table, name string, a attempt) string {
	chain, exists := table.Chains[name]
	if !exists {
		panic("no chain " + name)
	}
	for _, rule := range chain.Rules {
		if !ruleFits(table, chain.Direction, rule, a) {
			continue
		}
		if rule.Then == policy.Accept || rule.Then == policy.Drop {
			return rule.Then
		}
		if verdict := walk(table, rule.Then, a); verdict != "" {
			return verdict
		}
	}
	return ""
}

func ruleFits(table policy.Table, direction policy.Direction, rule policy.Rule, a attempt) bool {
	subject, peer := a.to.address, a.from.address
	if direction == policy.Egress {
		subject, peer = peer, subject
	}
	if rule.Pods != "" && !has(table, rule.Pods, subject.String()) || rule.Peers != "" && !has(table, rule.Peers, peer.String()) {
		return false
	}
	if rule.Block.Within.IsValid() && !rule.Block.Within.Contains(peer) {
		return false
	}
	for _, except := range rule.Block.Except {
		if except.Contains(peer) {
			return false
		}
	}
	protocol := strings.ToLower(string(a.protocol))
	if rule.Named != "" {
		return has(table, rule.Named, fmt.Sprintf("%s . %s . %d", a.to.address, protocol, a.port))
	}
	if rule.Protocol != "" && rule.Protocol != protocol {
		return false
	}
	for _, ports := range rule.Ports {
		if int32(ports.First) <= a.port && a.port <= int32(ports.Last) {
			return true
		}
	}
	return len(rule.Ports) == 0
}

func has(table policy.Table, set, key string) bool {
	found, exists := table.Sets[set]
	if !exists {
		panic("no set " + set)
	}
	_, in := found.Elements[key]
	return in
}

// FuzzAgainstOracle makes a cluster of two nodes from a seed and compares, for every pair of ends and every port that is of interest, what the two nodes'
// rules do with what the API's documentation says.
func FuzzAgainstOracle(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		cluster := randomCluster(rand.New(rand.NewPCG(seed, 13)))
		tables := map[bool]policy.Table{}
		for _, first := range []bool{true, false} {
			seen := cluster
			seen.Pods = append([]policy.Pod(nil), cluster.Pods...)
			for i := range seen.Pods {
				seen.Pods[i].Local = seen.Pods[i].Local == first
			}
			tables[first], _ = policy.Compute(seen)
		}
		for a := range attempts(cluster) {
			got := (a.from.pod == nil || passes(tables[a.from.pod.Local], policy.Egress, a)) && (a.to.pod == nil || passes(tables[a.to.pod.Local], policy.Ingress, a))
			if want := allowed(cluster, a); got != want {
				dump, _ := yaml.Marshal(cluster.Policies)
				t.Fatalf("seed %d: %s -> %s %s/%d: the rules say %v, the documentation %v\n%s", seed, a.from.address, a.to.address, a.protocol, a.port, got, want, dump)
			}
		}
	})
}

// TestOracleSaysBoth keeps the comparison from being one of constants.
func TestOracleSaysBoth(t *testing.T) {
	yes, no := 0, 0
	for seed := range uint64(50) {
		cluster := randomCluster(rand.New(rand.NewPCG(seed, 13)))
		for a := range attempts(cluster) {
			if allowed(cluster, a) {
				yes++
			} else {
				no++
			}
		}
	}
	if yes*10 < no || no*10 < yes {
		t.Errorf("%d allowed, %d not: one of them is hardly tried", yes, no)
	}
}

func attempts(cluster policy.Cluster) func(yield func(attempt) bool) {
	var ends []end
	for i := range cluster.Pods {
		ends = append(ends, end{&cluster.Pods[i], cluster.Pods[i].Address})
	}
	for _, address := range []string{"10.245.0.1", "192.0.2.7", "169.254.169.254"} {
		ends = append(ends, end{nil, netip.MustParseAddr(address)})
	}
	return func(yield func(attempt) bool) {
		for _, from := range ends {
			for _, to := range ends {
				for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
					for _, port := range []int32{1, 53, 80, 81, 8080, 8081, 65535} {
						if !yield(attempt{from, to, protocol, port}) {
							return
						}
					}
				}
			}
		}
	}
}

func randomCluster(r *rand.Rand) policy.Cluster {
	namespaces := []string{"a", "b", "c"}
	cluster := policy.Cluster{Namespaces: map[string]map[string]string{"a": {"team": "x"}, "b": {}}} // c is not known yet
	for i := range 8 {
		pod := policy.Pod{
			Namespace: pick(r, namespaces), Name: fmt.Sprint(i), Labels: randomLabels(r),
			Address: netip.AddrFrom4([4]byte{10, 244, byte(i % 2), byte(10 + i)}), Local: i%2 == 0,
		}
		if r.IntN(2) == 0 {
			pod.Ports = []policy.Port{{Name: "web", Protocol: "tcp", Number: pick(r, []uint16{80, 8080})}, {Name: "dns", Protocol: "udp", Number: 53}}
		}
		cluster.Pods = append(cluster.Pods, pod)
	}
	for i := range r.IntN(5) {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(r, namespaces), Name: fmt.Sprint(i)}}
		p.Spec.PodSelector = randomSelector(r)
		p.Spec.PolicyTypes = pick(r, [][]networkingv1.PolicyType{nil, {"Ingress"}, {"Egress"}, {"Ingress", "Egress"}})
		for range r.IntN(3) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: randomPeers(r), Ports: randomPorts(r)})
		}
		for range r.IntN(3) {
			p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: randomPeers(r), Ports: randomPorts(r)})
		}
		cluster.Policies = append(cluster.Policies, p)
	}
	return cluster
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func randomLabels(r *rand.Rand) map[string]string {
	return pick(r, []map[string]string{nil, {"app": "x"}, {"app": "y"}, {"app": "x", "tier": "db"}})
}

func randomSelector(r *rand.Rand) metav1.LabelSelector {
	expression := func(key string, operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
	}
	return pick(r, []metav1.LabelSelector{
		{}, {}, {MatchLabels: map[string]string{"app": "x"}}, {MatchLabels: map[string]string{"team": "x"}},
		expression("app", metav1.LabelSelectorOpIn, "x", "y"), expression("app", metav1.LabelSelectorOpNotIn, "x"),
		expression("tier", metav1.LabelSelectorOpExists), expression("tier", metav1.LabelSelectorOpDoesNotExist),
	})
}

func randomPeers(r *rand.Rand) (peers []networkingv1.NetworkPolicyPeer) {
	block := func(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
	}
	for range r.IntN(3) {
		pods, namespaces := randomSelector(r), randomSelector(r)
		peers = append(peers, pick(r, []networkingv1.NetworkPolicyPeer{
			{PodSelector: &pods}, {NamespaceSelector: &namespaces}, {PodSelector: &pods, NamespaceSelector: &namespaces},
			block("0.0.0.0/0"), block("0.0.0.0/0", "10.0.0.0/8", "169.254.0.0/16", "10.244.0.0/16"), block("10.244.0.0/16", "10.244.1.0/24"),
			block("::/0"), block("192.0.2.0/24", "192.0.2.0/24"), block("10.244.0.10/32"),
		}))
	}
	return peers
}

func randomPorts(r *rand.Rand) (ports []networkingv1.NetworkPolicyPort) {
	for range r.IntN(4) {
		protocol := pick(r, []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP})
		port := networkingv1.NetworkPolicyPort{Protocol: pick(r, []*corev1.Protocol{nil, &protocol, &protocol})}
		number, name, end := intstr.FromInt32(pick(r, []int32{1, 53, 80, 82, 8080})), intstr.FromString(pick(r, []string{"web", "dns", "none"})), pick(r, []int32{8080, 8081, 65535})
		switch r.IntN(4) {
		case 0: // all ports of the protocol
		case 1:
			port.Port = &number
		case 2:
			port.Port, port.EndPort = &number, &end
		case 3:
			port.Port = &name
		}
		ports = append(ports, port)
	}
	return ports
}
