package app

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestNumberOfNodesIsCheckedFirst(t *testing.T) {
	for _, count := range []string{"0", "-1", "x", "6", "2.5"} {
		u, _ := testUp(t)
		u.nodes = count
		for _, on := range []cluster{&onenode{up: u}, &kindCluster{up: u}} {
			if err := on.check(); err == nil || !strings.Contains(err.Error(), "NODES") || !strings.Contains(err.Error(), "from 1 to 5") {
				t.Errorf("%s on %s: %v", count, on.describe(), err)
			}
		}
	}
	u, _ := testUp(t)
	u.nodes, u.context, u.registry = "2", "production", "registry.example.org"
	if err := u.choose(context.Background()).check(); err == nil || !strings.Contains(err.Error(), "NODES") {
		t.Errorf("with CONTEXT: %v", err)
	}
}

func TestNodeValues(t *testing.T) {
	check := func(nodes []node, want ...string) {
		t.Helper()
		have, err := nodeValues(nodes)
		if diff := cmp.Diff(want, have); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	several := []string{"--set", "gateway.replicas=2,spawner.replicas=2,extraHosts={127.0.0.1:8000,10.245.0.2:8000}"}
	kind := []node{{name: "kind", address: "localhost"}}
	check(kind)
	check(append(kind, node{name: "kind-2", address: "10.245.0.2"}), several...)
	// A driver on each node of onenode, for its own kubelet.
	one := []node{{name: "onenode", address: "localhost", kubelet: "/state/kubelet"}}
	homes := func(nodes string) []string {
		return []string{"--set", "homes.enabled=true,homes.exports[0].name=local,homes.exports[0].path=/var/lib/perijove-onenode/volumes", "--set-json", "homes.nodes=[" + nodes + "]"}
	}
	first := `{"kubeletRoot":"/state/kubelet","nodeSelector":{"kubernetes.io/hostname":"onenode"}}`
	check(one, homes(first)...)
	second := `{"kubeletRoot":"/state/2/kubelet","nodeSelector":{"kubernetes.io/hostname":"onenode-2"}}`
	check(append(one, node{name: "onenode-2", address: "10.245.0.2", kubelet: "/state/2/kubelet"}), append(homes(first+","+second), several...)...)
}

// The last key of kind's file must be nodes, since workers are added at its end.
func TestKindConfig(t *testing.T) {
	text, err := os.ReadFile("../../kind/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for count, want := range map[int][]string{0: {"control-plane"}, 1: {"control-plane"}, 3: {"control-plane", "worker", "worker"}} {
		var config struct{ Nodes []struct{ Role string } }
		if err := yaml.Unmarshal(kindConfig(text, count), &config); err != nil {
			t.Fatal(err)
		}
		var roles []string
		for _, n := range config.Nodes {
			roles = append(roles, n.Role)
		}
		if diff := cmp.Diff(want, roles); diff != "" {
			t.Errorf("%d nodes: %s", count, diff)
		}
	}
	got := kindNodes("perijove-worker\nperijove-control-plane\n")
	want := []node{{name: "perijove-worker"}, {name: "perijove-control-plane", address: "localhost"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(node{})); diff != "" {
		t.Error(diff)
	}
}

func TestPlaces(t *testing.T) {
	pods, err := readPods([]byte(`{"items": [
		{"metadata": {"name": "perijove-gateway-a"}, "spec": {"nodeName": "onenode-2"}},
		{"metadata": {"name": "perijove-gateway-b"}, "spec": {"nodeName": "onenode"}},
		{"metadata": {"name": "perijove-gateway-c", "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"nodeName": "onenode"}},
		{"metadata": {"name": "perijove-spawner-a"}, "spec": {"nodeName": "onenode-2"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := table(pods, []node{{name: "onenode", address: "localhost"}, {name: "onenode-2", address: "10.245.0.2"}})
	const want = `
  onenode    perijove-gateway-b  http://localhost:8000
  onenode-2  perijove-gateway-a  http://10.245.0.2:8000
  onenode-2  perijove-spawner-a  
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := readPods([]byte("no list")); err == nil {
		t.Error("nonsense was understood")
	}
}
