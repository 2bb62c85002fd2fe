//go:build onenode

package main

import (
	"fmt"
	"testing"
)

const denyAll = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {matchLabels: {app: web}}}
`

// testPolicies: a pod that a policy isolates is reached by the node and by no pod; the enforcer's death opens nothing, and a policy that is deleted keeps nothing
// out. Which packets a policy means is tested in programs/policy.
func (n node) testPolicies(t *testing.T) {
	n.t = t
	n.apply(pod("neighbour", "", ""))
	n.kube("wait", "--for=condition=Ready", "pod/neighbour", "pod/web", "--timeout=30s")
	url := "http://" + n.kube("get", "pod", "web", "-o", "jsonpath={.status.podIP}") + ":8080/"
	reaches := func() error { return n.says("testpod web", "neighbour", "get", url) }
	refused := func() error {
		if reaches() == nil {
			return fmt.Errorf("a neighbour reaches a pod that lets nobody in")
		}
		return nil
	}
	n.eventually("without a policy a neighbour gets in", reaches)
	n.apply(denyAll)
	n.eventually("with the policy it does not", refused)
	if err := answers(url, "testpod web"); err != nil {
		t.Errorf("the node at its own pod: %v", err)
	}
	old := n.kill("netpolicy")
	if err := refused(); err != nil {
		t.Errorf("right after the enforcer's death: %v", err)
	}
	n.eventually("the enforcer is back", func() error {
		out, err := n.try("status")
		if err == nil && n.pid("netpolicy") == old {
			return fmt.Errorf("still the old process")
		}
		return wrap(err, out)
	})
	if err := refused(); err != nil {
		t.Errorf("after the enforcer's start: %v", err)
	}
	n.kube("delete", "networkpolicy", "deny")
	n.eventually("without the policy it gets in again", reaches)
	n.kube("delete", "pod", "neighbour", "--now")
}
