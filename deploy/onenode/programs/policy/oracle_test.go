package policy_test

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

// The oracle answers "may A open a connection to B at port P" straight from the objects. It is written from the comments of the API's types in
// networking.k8s.io/v1, and shares nothing with the code under test: no selector library, no sets, no order.

// end is one end of a connection: a pod, or an address outside.
type end struct {
	pod     *policy.Pod
	address netip.Addr
}

// attempt is a connection to be.
type attempt struct {
	from, to end
	protocol corev1.Protocol
	port     int32
}

func allowed(cluster policy.Cluster, a attempt) bool {
	if a.from.pod != nil && a.from.pod == a.to.pod {
		return true
	}
	return allowedOneWay(cluster, a, networkingv1.PolicyTypeEgress) && allowedOneWay(cluster, a, networkingv1.PolicyTypeIngress)
}

func allowedOneWay(cluster policy.Cluster, a attempt, way networkingv1.PolicyType) bool {
	subject, other := a.from, a.to
	if way == networkingv1.PolicyTypeIngress {
		subject, other = a.to, a.from
	}
	if subject.pod == nil {
		return true
	}
	isolated := false
	for _, p := range cluster.Policies {
		if p.Namespace != subject.pod.Namespace || !fits(p.Spec.PodSelector, subject.pod.Labels) || !applies(p, way) {
			continue
		}
		isolated = true
		if way == networkingv1.PolicyTypeIngress {
			for _, rule := range p.Spec.Ingress {
				if peersFit(cluster, p.Namespace, rule.From, other) && portsFit(rule.Ports, a) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Egress {
			if peersFit(cluster, p.Namespace, rule.To, other) && portsFit(rule.Ports, a) {
				return true
			}
		}
	}
	return !isolated
}

func applies(p *networkingv1.NetworkPolicy, way networkingv1.PolicyType) bool {
	if len(p.Spec.PolicyTypes) > 0 {
		return slices.Contains(p.Spec.PolicyTypes, way)
	}
	return way == networkingv1.PolicyTypeIngress || len(p.Spec.Egress) > 0
}

func peersFit(cluster policy.Cluster, namespace string, peers []networkingv1.NetworkPolicyPeer, other end) bool {
	for _, peer := range peers {
		if peerFits(cluster, namespace, peer, other) {
			return true
		}
	}
	return len(peers) == 0
}

func peerFits(cluster policy.Cluster, namespace string, peer networkingv1.NetworkPolicyPeer, other end) bool {
	if peer.IPBlock != nil {
		if !netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(other.address) {
			return false
		}
		for _, except := range peer.IPBlock.Except {
			if netip.MustParsePrefix(except).Contains(other.address) {
				return false
			}
		}
		return true
	}
	if other.pod == nil {
		return false
	}
	if peer.NamespaceSelector != nil {
		has, exists := cluster.Namespaces[other.pod.Namespace]
		if !exists || !fits(*peer.NamespaceSelector, has) {
			return false
		}
	} else if other.pod.Namespace != namespace {
		return false
	}
	return peer.PodSelector == nil || fits(*peer.PodSelector, other.pod.Labels)
}

func portsFit(ports []networkingv1.NetworkPolicyPort, a attempt) bool {
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		if protocol != a.protocol {
			continue
		}
		switch {
		case port.Port == nil:
			return true
		case port.Port.Type == intstr.String:
			if a.to.pod == nil {
				continue
			}
			for _, named := range a.to.pod.Ports {
				if named.Name == port.Port.StrVal && int32(named.Number) == a.port && named.Protocol == map[corev1.Protocol]string{"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}[protocol] {
					return true
				}
			}
		case port.EndPort != nil:
			if a.port >= port.Port.IntVal && a.port <= *port.EndPort {
				return true
			}
		case port.Port.IntVal == a.port:
			return true
		}
	}
	return len(ports) == 0
}

func fits(selector metav1.LabelSelector, has map[string]string) bool {
	for key, value := range selector.MatchLabels {
		if got, exists := has[key]; !exists || got != value {
			return false
		}
	}
	for _, expression := range selector.MatchExpressions {
		value, exists := has[expression.Key]
		good := false
		switch expression.Operator {
		case metav1.LabelSelectorOpIn:
			good = exists && slices.Contains(expression.Values, value)
		case metav1.LabelSelectorOpNotIn:
			good = !exists || !slices.Contains(expression.Values, value)
		case metav1.LabelSelectorOpExists:
			good = exists
		case metav1.LabelSelectorOpDoesNotExist:
			good = !exists
		}
		if !good {
			return false
		}
	}
	return true
}
