package policy

import (
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// rules makes a rule for each peer with each kind of port. No peers at all are all peers; peers that are all faulty, or all of IPv6, are none.
func (c *compiler) rules(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, fault func(string, ...any)) []Rule {
	ends := []Rule{{}}
	if len(peers) > 0 {
		ends = nil
	}
	for i, peer := range peers {
		end, ok := c.peer(namespace, peer, func(format string, values ...any) { fault("peer[%d]: %s", i, fmt.Sprintf(format, values...)) })
		if ok {
			ends = append(ends, end)
		}
	}
	var rules []Rule
	for _, match := range matchPorts(ports, fault) {
		for _, rule := range ends {
			rule.Then, rule.Protocol, rule.Ports = Accept, match.protocol, match.ports
			if match.named != "" {
				rule.Named = c.namedSet(match.named, match.protocol)
			}
			rules = append(rules, rule)
		}
	}
	return rules
}

// peer returns a rule that fits the peer of a policy in the namespace.
func (c *compiler) peer(namespace string, peer networkingv1.NetworkPolicyPeer, fault func(string, ...any)) (Rule, bool) {
	within := scope{namespace: namespace, namespaces: peer.NamespaceSelector}
	switch {
	case peer.IPBlock != nil && (peer.PodSelector != nil || peer.NamespaceSelector != nil):
		fault("an ipBlock beside a selector; the peer matches nothing")
		return Rule{}, false
	case peer.IPBlock != nil:
		block, ok := blockOf(peer.IPBlock, fault)
		return Rule{Block: block}, ok
	case peer.PodSelector == nil && peer.NamespaceSelector == nil:
		fault("neither a selector nor an ipBlock; the peer matches nothing")
		return Rule{}, false
	}
	pods := peer.PodSelector
	if pods == nil {
		pods = &metav1.LabelSelector{} // all pods of the namespaces
	}
	set, err := c.podSet(within, pods)
	if err != nil {
		fault("%v; the peer matches nothing", err)
		return Rule{}, false
	}
	return Rule{Peers: set}, true
}

// scope is one namespace, or those that the selector chooses if there is one.
type scope struct {
	namespace  string
	namespaces *metav1.LabelSelector
}

// podSet returns the name of the set of pods in the scope that the selector chooses, an empty one all. Policies that ask for the same pods share a set.
func (c *compiler) podSet(within scope, pods *metav1.LabelSelector) (string, error) {
	selector, err := metav1.LabelSelectorAsSelector(pods)
	if err != nil {
		return "", fmt.Errorf("podSelector: %w", err)
	}
	chosen, text := labels.Nothing(), "in namespace "+within.namespace
	if within.namespaces != nil {
		if chosen, err = metav1.LabelSelectorAsSelector(within.namespaces); err != nil {
			return "", fmt.Errorf("namespaceSelector: %w", err)
		}
		text = "in namespaces with {" + chosen.String() + "}"
	}
	text = "pods with {" + selector.String() + "} " + text
	name := "pods-" + digest(text)
	if _, made := c.table.Sets[name]; made {
		return name, nil
	}
	set := Set{Type: addressSet, Comment: comment(text), Elements: map[string]string{}}
	add := func(namespace string) {
		for _, pod := range c.pods[namespace] {
			if selector.Matches(labels.Set(pod.Labels)) {
				set.Elements[pod.Address.String()] = ""
				c.members[name] = append(c.members[name], pod)
			}
		}
	}
	if within.namespaces == nil {
		add(within.namespace)
	} else {
		for namespace, has := range c.namespaces { // a namespace that is not known has no labels yet, and an empty selector must not take it for a chosen one
			if chosen.Matches(labels.Set(has)) {
				add(namespace)
			}
		}
	}
	c.table.Sets[name] = set
	return name, nil
}

// namedSet returns the name of the set of all pods' ports with the name: the receiver of a packet decides which number a name stands for.
func (c *compiler) namedSet(port, protocol string) string {
	name := nameOf("port", protocol+"-"+port)
	if _, made := c.table.Sets[name]; made {
		return name
	}
	set := Set{Type: portSet, Elements: map[string]string{}}
	for _, pods := range c.pods {
		for _, pod := range pods {
			for _, has := range pod.Ports {
				if has.Name == port && has.Protocol == protocol {
					set.Elements[fmt.Sprintf("%s . %s . %d", pod.Address, protocol, has.Number)] = ""
				}
			}
		}
	}
	c.table.Sets[name] = set
	return name
}
