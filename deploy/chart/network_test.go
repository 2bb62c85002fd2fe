package chart

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// K5, S17: which pods reach a server's pod, and which addresses it reaches. The one-node cluster enforces
// no NetworkPolicies, so the test reads them.
func testNetwork(t *testing.T, helm string) {
	policies := objects[networkingv1.NetworkPolicy](t, helm, onenode, "NetworkPolicy")
	for name, peers := range map[string][]string{
		"perijove-servers/perijove-singleuser": {"gateway", "spawner"},
		"perijove-servers/perijove-published":  {"gateway"},
	} {
		spec := policies[name].Spec
		if len(spec.Ingress) != 1 {
			t.Fatalf("%s: ingress %+v", name, spec.Ingress)
		}
		var have []string
		for _, from := range spec.Ingress[0].From {
			// Without a namespace the peer would be a pod beside the server.
			if from.NamespaceSelector == nil || from.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] != "perijove" {
				t.Errorf("%s: peer %+v", name, from)
			}
			have = append(have, from.PodSelector.MatchLabels["app.kubernetes.io/component"])
		}
		if !slices.Equal(have, peers) {
			t.Errorf("%s lets in %v, want %v", name, have, peers)
		}
	}
	testEveryServerIsCovered(t, policies)
	testDNS(t, policies["perijove-servers/perijove-singleuser"].Spec.Egress)
}

// S17: a pod with the label of a server falls under a policy, with or without the spawner.
func testEveryServerIsCovered(t *testing.T, policies map[string]networkingv1.NetworkPolicy) {
	for what, carries := range map[string]map[string]string{
		"spawned":       {"hub.jupyter.org/username": "a", "app.kubernetes.io/managed-by": "perijove-spawner", "component": "singleuser-server"},
		"labelled":      {"hub.jupyter.org/username": "a"},
		"KubeSpawner's": {"hub.jupyter.org/username": "a", "app.kubernetes.io/managed-by": "kubespawner", "component": "singleuser-server"},
		"neither":       {"app": "database"}, // the negative control
	} {
		covered := false
		for _, name := range []string{"singleuser", "published"} {
			selector, err := metav1.LabelSelectorAsSelector(new(policies["perijove-servers/perijove-"+name].Spec.PodSelector))
			if err != nil {
				t.Fatal(err)
			}
			covered = covered || selector.Matches(labels.Set(carries))
		}
		if covered != (what != "neither") {
			t.Errorf("%s: covered by a policy is %v", what, covered)
		}
	}
}

// B-25: names resolve whatever answers for the cluster: kube-dns, OpenShift's DNS on 5353,
// NodeLocal DNSCache and Cloud DNS on link-local addresses.
func testDNS(t *testing.T, egress []networkingv1.NetworkPolicyEgressRule) {
	var open []string
	for _, rule := range egress {
		for _, to := range rule.To {
			for _, port := range rule.Ports {
				switch {
				case to.IPBlock != nil:
					open = append(open, fmt.Sprintf("%s %s/%s", to.IPBlock.CIDR, port.Port, *port.Protocol))
				case to.PodSelector == nil && len(to.NamespaceSelector.MatchExpressions) == 1:
					for _, space := range to.NamespaceSelector.MatchExpressions[0].Values {
						open = append(open, fmt.Sprintf("%s %s/%s", space, port.Port, *port.Protocol))
					}
				}
			}
		}
	}
	var want []string
	for _, space := range []string{"kube-system", "openshift-dns"} {
		for _, port := range []string{"53", "5353"} {
			want = append(want, space+" "+port+"/UDP", space+" "+port+"/TCP")
		}
	}
	for _, cidr := range []string{"169.254.0.0/16", "fe80::/10"} {
		want = append(want, cidr+" 53/UDP", cidr+" 53/TCP") // and not port 80, the metadata service
	}
	slices.Sort(open)
	slices.Sort(want)
	if !slices.Equal(open, want) {
		t.Errorf("open by port:\nhave %v\nwant %v", open, want)
	}
}
