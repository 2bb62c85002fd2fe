package cleanup

import (
	"reflect"
	"slices"
	"testing"

	"github.com/perijove/perijove/deploy/onenode/host"
	"github.com/perijove/perijove/deploy/onenode/layout"
)

var at = layout.Layout{State: "/var/lib/node", Cache: "/cache"}

func freshLedger() host.Ledger {
	return host.Ledger{Sysctls: map[string]string{"net/ipv4/ip_forward": "0"}}
}

func everything() Found {
	return Found{
		Mounts: []string{"/", "/var/lib/node/a", "/var/lib/node/a/b", "/var/lib/node2/x", "/var/lib"},
		Links:  []string{"lo", "eth0", "cni0", "perijove-n9", "perijove-n2", layout.Bridge},
		Tables: []string{"ip perijove_onenode", "ip kube-proxy", "ip6 kube-proxy", "ip cni_hostport", "ip filter"},
		HostPorts: []Rule{
			{Family: "ip", Chain: "hostports", Handle: "7", Comment: "aaa"},
			{Family: "ip", Chain: "hostports", Handle: "9", Comment: "bbb"},
		},
		Cached:   []string{"/var/lib/cni/results/perijove-onenode-aaa-eth0", "/var/lib/cni/results/podman-bbb-eth0"},
		LogLinks: map[string]string{"/var/log/containers/ours.log": "/var/lib/node/pod-logs/x/0.log", "/var/log/containers/theirs.log": "/var/log/pods/y/0.log"},
		Shims:    map[string]string{"/var/lib/node/containerd/run/x/bootstrap.json": "/run/containerd/s/1"},
		Dead:     []string{"/run/containerd/s/2"},
		Cgroups:  []string{"/sys/fs/cgroup/cpu/perijove-onenode"},
		Sysctls:  map[string]string{"net/ipv4/ip_forward": "1"},
	}
}

func TestOnlyOurs(t *testing.T) {
	plan := Make(at, everything(), freshLedger(), true)
	if want := []string{"/var/lib/node/a/b", "/var/lib/node/a"}; !slices.Equal(plan.Unmount, want) {
		t.Errorf("unmounts %v, want %v: deepest first, and not /var/lib/node2", plan.Unmount, want)
	}
	if !slices.Equal(plan.DeleteLinks, []string{"perijove-n2", layout.Bridge}) {
		t.Errorf("deletes interfaces %v", plan.DeleteLinks)
	}
	if want := []string{"ip perijove_onenode", "ip kube-proxy", "ip6 kube-proxy"}; !slices.Equal(plan.DeleteTable, want) {
		t.Errorf("deletes tables %v, want %v", plan.DeleteTable, want)
	}
	if len(plan.DeleteRules) != 1 || plan.DeleteRules[0].Handle != "7" {
		t.Errorf("deletes rules %v; rule 9 is another network's", plan.DeleteRules)
	}
	want := []string{"/run/containerd/s/1", "/run/containerd/s/2", "/var/lib/cni/results/perijove-onenode-aaa-eth0", "/var/log/containers/ours.log"}
	for _, file := range want {
		if !slices.Contains(plan.Remove, file) {
			t.Errorf("leaves %s", file)
		}
	}
	for _, file := range []string{"/var/lib/cni/results/podman-bbb-eth0", "/var/log/containers/theirs.log"} {
		if slices.Contains(plan.Remove, file) {
			t.Errorf("removes %s, which is another's", file)
		}
	}
	if !reflect.DeepEqual(plan.Sysctls, map[string]string{"net/ipv4/ip_forward": "0"}) {
		t.Errorf("puts back %v", plan.Sysctls)
	}
}

func TestSharedTableGoesWhenEmpty(t *testing.T) {
	found := everything()
	found.HostPorts = found.HostPorts[:1]
	plan := Make(at, found, freshLedger(), true)
	if !slices.Contains(plan.DeleteTable, "ip cni_hostport") || len(plan.DeleteRules) != 0 {
		t.Errorf("with only our rules in it, the table goes as a whole: %v %v", plan.DeleteTable, plan.DeleteRules)
	}
}

func TestWhatWasThereStays(t *testing.T) {
	ledger := freshLedger()
	ledger.Tables = []string{"ip kube-proxy", "ip cni_hostport"}
	ledger.Folders = []string{layout.CNICache, layout.DevicePlugins, layout.ContainerdRun, layout.ShimSockets}
	found := everything()
	found.HostPorts = found.HostPorts[:1]
	plan := Make(at, found, ledger, true)
	if want := []string{"ip perijove_onenode", "ip6 kube-proxy"}; !slices.Equal(plan.DeleteTable, want) {
		t.Errorf("deletes tables %v, want %v", plan.DeleteTable, want)
	}
	if len(plan.DeleteRules) != 1 {
		t.Errorf("our rule in a table that was there must go by itself: %v", plan.DeleteRules)
	}
	for _, folder := range ledger.Folders {
		if slices.Contains(plan.RemoveEmpty, folder) {
			t.Errorf("removes %s, which was there before", folder)
		}
	}
	if !slices.Contains(plan.RemoveEmpty, layout.ContainerLogs) {
		t.Errorf("leaves %s", layout.ContainerLogs)
	}
	if slices.Contains(plan.Remove, "/run/containerd/s/2") || !slices.Contains(plan.Remove, "/run/containerd/s/1") {
		t.Errorf("of the sockets it removes %v; 2 may be another containerd's", plan.Remove)
	}
	for _, name := range []string{"kubelet.sock", "kubelet_internal_checkpoint"} {
		if slices.Contains(plan.Remove, layout.DevicePlugins+"/"+name) {
			t.Errorf("removes %s of another kubelet", name)
		}
	}
}

func TestLostLedger(t *testing.T) {
	plan := Make(at, everything(), host.Ledger{}, false)
	if want := []string{"ip perijove_onenode"}; !slices.Equal(plan.DeleteTable, want) {
		t.Errorf("deletes tables %v, want %v", plan.DeleteTable, want)
	}
	if len(plan.RemoveEmpty) != 0 || len(plan.Sysctls) != 0 {
		t.Errorf("without a ledger nothing shared is ours: %v %v", plan.RemoveEmpty, plan.Sysctls)
	}
	if len(plan.Unmount) != 2 || len(plan.DeleteLinks) != 2 || plan.RemoveState != at.State {
		t.Errorf("what bears our name must go all the same: %+v", plan)
	}
}

func TestNothingThere(t *testing.T) {
	plan := Make(at, Found{}, freshLedger(), true)
	plan.RemoveEmpty, plan.RemoveState, plan.Remove = nil, "", nil
	if want := (Plan{Sysctls: map[string]string{}}); !reflect.DeepEqual(plan, want) {
		t.Errorf("plans %+v for an empty machine", plan)
	}
}

func TestParseRules(t *testing.T) {
	const list = `{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "cni_hostport", "handle": 5}},
		{"rule": {"family": "ip", "table": "cni_hostport", "chain": "hostports", "handle": 12, "comment": "abc", "expr": []}},
		{"rule": {"family": "ip", "table": "cni_hostport", "chain": "prerouting", "handle": 13, "expr": []}}]}`
	rules, err := parseRules([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Rule{{Family: "ip", Chain: "hostports", Handle: "12", Comment: "abc"}}; !slices.Equal(rules, want) {
		t.Errorf("got %v, want %v", rules, want)
	}
	if _, err := parseRules([]byte("not json")); err == nil {
		t.Error("no error for what is no JSON")
	}
}

func TestHasVariable(t *testing.T) {
	mark := []byte("MARK=/var/lib/node")
	for environment, want := range map[string]bool{
		"PATH=/bin\x00MARK=/var/lib/node\x00": true,
		"MARK=/var/lib/node2\x00":             false,
		"OTHERMARK=/var/lib/node\x00":         false,
		"":                                    false,
	} {
		if got := hasVariable([]byte(environment), mark); got != want {
			t.Errorf("%q: got %v", environment, got)
		}
	}
}

// A node that goes takes what carries its name, and nothing of the first node or of one whose number begins like its own.
func TestOneNode(t *testing.T) {
	n := at.Node(2)
	plan := MakeNode(n, Found{
		Mounts:   []string{"/", "/var/lib/node/kubelet/x", "/var/lib/node/nodes/2/network", "/var/lib/node/nodes/2/kubelet/y", "/var/lib/node/nodes/21/network"},
		Links:    []string{"lo", layout.Bridge, n.Cable(), at.Node(3).Cable()},
		Tables:   []string{"ip perijove_onenode", "ip kube-proxy"},
		Cached:   []string{"/var/lib/cni/results/perijove-onenode-aaa-eth0", "/var/lib/cni/results/perijove-onenode-2-bbb-eth0", "/var/lib/cni/results/perijove-onenode-3-ccc-eth0"},
		LogLinks: map[string]string{"/var/log/containers/first.log": "/var/lib/node/pod-logs/x", "/var/log/containers/second.log": "/var/lib/node/nodes/2/pod-logs/x"},
		Shims: map[string]string{
			"/var/lib/node/containerd/run/x/bootstrap.json": "/run/containerd/s/first", "/var/lib/node/nodes/2/containerd/run/x/bootstrap.json": "/run/containerd/s/second",
		},
		Cgroups: []string{"/sys/fs/cgroup/cpu/perijove-onenode"},
	})
	want := Plan{
		Unmount:     []string{"/var/lib/node/nodes/2/kubelet/y", "/var/lib/node/nodes/2/network"},
		DeleteLinks: []string{"perijove-n2"},
		RemoveTrees: []string{"/sys/fs/cgroup/cpu/perijove-onenode/node-2"},
		Remove:      []string{"/run/containerd/s/second", "/var/lib/cni/results/perijove-onenode-2-bbb-eth0", "/var/log/containers/second.log"},
		RemoveState: "/var/lib/node/nodes/2",
	}
	if !reflect.DeepEqual(plan, want) {
		t.Errorf("plans %+v, want %+v", plan, want)
	}
}
