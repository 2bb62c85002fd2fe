package layout_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Two nodes that share a path, a name or an address would remove each other's things.
func TestNodesShareNothing(t *testing.T) {
	seen := map[string]string{}
	for _, n := range (layout.Layout{State: "/state", Cache: "/cache"}).Nodes(layout.MaxNodes) {
		mine := map[string]string{
			"name": n.Name(), "address": n.IP(), "pods": n.PodCIDR(), "router": n.BridgeIP(), "network": n.Network(), "cgroup": n.Cgroup(), "home": n.Home(),
			"kubelet": n.KubeletRoot(), "logs": n.PodLogs(), "ipam": n.IPAM(), "plugins": n.VolumePlugins(), "socket": n.ContainerdSocket(), "run": n.ContainerdState(),
			"root": n.ContainerdRoot(), "cni": n.CNIConfig(), "devices": n.DevicePlugins(), "namespace": n.Namespace(), "cable": n.Cable(),
		}
		for what, value := range mine {
			if other, taken := seen[value]; taken {
				t.Errorf("%s of %s is %s, which is also %s", what, n.Name(), value, other)
			}
			seen[value] = what + " of " + n.Name()
		}
	}
}

func TestAddressesLieInTheirRanges(t *testing.T) {
	pods, nodes := netip.MustParsePrefix(layout.PodCIDR), netip.MustParsePrefix(layout.NodeCIDR)
	for _, n := range (layout.Layout{}).Nodes(layout.MaxNodes) {
		own := netip.MustParsePrefix(n.PodCIDR())
		if !pods.Contains(own.Addr()) || !own.Contains(netip.MustParseAddr(n.BridgeIP())) || !nodes.Contains(netip.MustParseAddr(n.IP())) {
			t.Errorf("%s: pods %s, router %s, address %s", n.Name(), own, n.BridgeIP(), n.IP())
		}
		if len(n.Cable()) > 15 {
			t.Errorf("%s: the kernel takes no interface name as long as %s", n.Name(), n.Cable())
		}
	}
}

// A path of a Unix socket has 107 bytes at most (unix(7)).
func TestSocketsAreShort(t *testing.T) {
	last := (layout.Layout{State: layout.DefaultState + "-test"}).Node(layout.MaxNodes)
	for _, socket := range []string{last.ContainerdSocket() + ".ttrpc", last.DevicePlugins() + "/" + layout.DeviceSockets + strings.Repeat("x", 30) + ".sock"} {
		if len(socket) > 107 {
			t.Errorf("%s has %d bytes", socket, len(socket))
		}
	}
}

func TestFirstNodeIsTheMachine(t *testing.T) {
	n := layout.Layout{State: "/state"}.Node(1)
	if n.Name() != layout.NodeName || n.IP() != layout.NodeIP || n.Home() != "/state" || n.Cgroup() != layout.CgroupName {
		t.Errorf("%s %s %s %s", n.Name(), n.IP(), n.Home(), n.Cgroup())
	}
}
