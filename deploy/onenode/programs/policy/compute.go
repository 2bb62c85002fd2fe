package policy

import (
	"cmp"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
)

// Cluster is everything that the rules depend on.
type Cluster struct {
	Pods       []Pod
	Namespaces map[string]map[string]string // name → labels
	Policies   []*networkingv1.NetworkPolicy
}

// Compute returns the table of the node whose pods are the Local ones, and what is wrong with policies and pods. What is wrong allows nothing.
//
// Source of the rules: the API's documentation of NetworkPolicySpec (networking.k8s.io/v1) and "Network Policies" in Kubernetes' documentation.
func Compute(cluster Cluster) (Table, []string) {
	c := newCompiler(cluster)
	policies := slices.Clone(cluster.Policies)
	slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, policy := range policies {
		c.compile(policy)
	}
	for _, name := range c.isolating {
		chain := c.table.Chains[name]
		chain.Rules = append(chain.Rules, Rule{Then: Drop})
		c.table.Chains[name] = chain
	}
	return c.table, c.faults.texts
}

// compiler collects the table policy by policy.
type compiler struct {
	table      Table
	faults     faults
	namespaces map[string]map[string]string
	pods       map[string][]Pod // by namespace
	members    map[string][]Pod // by set
	isolating  []string         // chains of namespaces
}

func newCompiler(cluster Cluster) *compiler {
	c := &compiler{
		namespaces: cluster.Namespaces, pods: map[string][]Pod{}, members: map[string][]Pod{},
		table: Table{Chains: map[string]Chain{}, Sets: map[string]Set{
			Known: {Type: addressSet, Elements: map[string]string{}}, Self: {Type: pairSet, Elements: map[string]string{}},
			string(Ingress): {Type: verdictMap, Elements: map[string]string{}}, string(Egress): {Type: verdictMap, Elements: map[string]string{}},
		}},
	}
	for _, pod := range c.oneForEachAddress(cluster.Pods) {
		c.pods[pod.Namespace] = append(c.pods[pod.Namespace], pod)
		if pod.Local {
			address := pod.Address.String()
			c.table.Sets[Known].Elements[address] = ""
			c.table.Sets[Self].Elements[address+" . "+address] = ""
		}
	}
	return c
}

// oneForEachAddress leaves out pods without an address, and all but the newest with the same: a pod that is about to go may have given its address back already.
func (c *compiler) oneForEachAddress(pods []Pod) []Pod {
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b Pod) int {
		return cmp.Or(a.Address.Compare(b.Address), b.Created.Compare(a.Created), cmp.Compare(a.UID, b.UID))
	})
	var kept []Pod
	for _, pod := range sorted {
		if !pod.Address.Is4() {
			continue
		}
		if last := len(kept) - 1; last >= 0 && kept[last].Address == pod.Address {
			c.faults.at("pod "+pod.Namespace+"/"+pod.Name)("its address %s is the one of the newer pod %s/%s; it gets no rules", pod.Address, kept[last].Namespace, kept[last].Name)
			continue
		}
		kept = append(kept, pod)
	}
	return kept
}

// compile adds one policy, in the directions that it isolates.
func (c *compiler) compile(policy *networkingv1.NetworkPolicy) {
	place := "policy " + policy.Namespace + "/" + policy.Name
	selected, err := c.podSet(scope{namespace: policy.Namespace}, &policy.Spec.PodSelector)
	if err != nil {
		c.faults.at(place)("podSelector: %v; the policy selects no pod", err)
		return
	}
	ingress, egress := directions(policy.Spec)
	if ingress {
		var rules []Rule
		for i, rule := range policy.Spec.Ingress {
			rules = append(rules, c.rules(policy.Namespace, rule.From, rule.Ports, c.faults.at(fmt.Sprintf("%s: ingress[%d]", place, i)))...)
		}
		c.isolate(Ingress, policy, selected, rules)
	}
	if egress {
		var rules []Rule
		for i, rule := range policy.Spec.Egress {
			rules = append(rules, c.rules(policy.Namespace, rule.To, rule.Ports, c.faults.at(fmt.Sprintf("%s: egress[%d]", place, i)))...)
		}
		c.isolate(Egress, policy, selected, rules)
	}
}

// directions says what a policy isolates: without policyTypes always ingress, and egress if it has egress rules.
func directions(spec networkingv1.NetworkPolicySpec) (ingress, egress bool) {
	if len(spec.PolicyTypes) == 0 {
		return true, len(spec.Egress) > 0
	}
	return slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress), slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
}

// isolate sends the selected pods of this node to their namespace's chain, and from there to the policy's rules.
func (c *compiler) isolate(direction Direction, policy *networkingv1.NetworkPolicy, selected string, rules []Rule) {
	namespace := nameOf(string(direction), policy.Namespace)
	chain, seen := c.table.Chains[namespace]
	if !seen {
		chain.Direction = direction
		c.isolating = append(c.isolating, namespace)
	}
	if len(rules) > 0 {
		own := nameOf(string(direction), policy.Namespace+"/"+policy.Name)
		c.table.Chains[own] = Chain{Direction: direction, Rules: rules}
		chain.Rules = append(chain.Rules, Rule{Pods: selected, Then: own})
	}
	c.table.Chains[namespace] = chain
	for _, pod := range c.members[selected] {
		if pod.Local {
			c.table.Sets[string(direction)].Elements[pod.Address.String()] = namespace
		}
	}
}

// faults are sentences, each with its place.
type faults struct{ texts []string }

func (f *faults) at(place string) func(string, ...any) {
	return func(format string, values ...any) {
		f.texts = append(f.texts, place+": "+fmt.Sprintf(format, values...))
	}
}
