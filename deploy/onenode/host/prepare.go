package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/space"
)

// Prepare brings the machine into the state that the parts of that many nodes need. The ledger is written first.
func Prepare(l layout.Layout, nodes int) error {
	loadModules()
	if err := note(l.Ledger()); err != nil {
		return err
	}
	for _, n := range l.Nodes(nodes) {
		if err := prepare(n); err != nil {
			return fmt.Errorf("node %s: %w", n.Name(), err)
		}
	}
	return nil
}

// prepare does the same for one node. A further one has the same things as the machine, inside its network namespace.
func prepare(n layout.Node) error {
	if n.First() {
		if err := equip(n); err != nil {
			return err
		}
	} else {
		if err := makeSpace(n); err != nil {
			return err
		}
		if err := space.Inside(n.Namespace(), func() error { return equip(n) }); err != nil {
			return err
		}
	}
	return makeCgroups(n.Cgroup())
}

// equip sets kernel settings, makes the bridge and writes the rules in the network namespace that it is called in.
func equip(n layout.Node) error {
	for name, value := range sysctls() {
		if value == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("kernel setting %s: %w (on some kernels it needs `modprobe br_netfilter`)", name, err)
		}
	}
	if err := makeBridge(n); err != nil {
		return fmt.Errorf("bridge %s: %w", layout.Bridge, err)
	}
	if !n.First() {
		if err := plugIn(n); err != nil {
			return fmt.Errorf("cable: %w", err)
		}
	}
	return nft(ownTable(n))
}

// loadModules is best effort: most kernels load them on demand or have them built in, and what is really missing shows in the step that needs it.
func loadModules() {
	for _, module := range []string{"overlay", "bridge", "br_netfilter", "nf_tables", "nf_nat"} {
		_ = exec.Command("modprobe", "--quiet", module).Run()
	}
}

// makeBridge makes the bridge of the pods before any pod, because it also carries the node's own address: the kubelet listens there, and on the first node the
// API server.
func makeBridge(n layout.Node) error {
	link, err := netlink.LinkByName(layout.Bridge)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = layout.Bridge
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
			return err
		}
		link, err = netlink.LinkByName(layout.Bridge)
	}
	if err != nil {
		return err
	}
	if err := setAddresses(link, n); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	// Service addresses need some route, or programs on a machine without a default route get "network is unreachable" before kube-proxy's rules see the packet.
	_, services, err := net.ParseCIDR(layout.ServiceCIDR)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: services, Src: net.ParseIP(n.IP()), Scope: netlink.SCOPE_LINK})
}

// setAddresses gives the bridge its two addresses and takes all others away: CNI's bridge plugin refuses one whose first address is not the pods' router, such as
// that of an older version, with another mask.
func setAddresses(link netlink.Link, n layout.Node) error {
	_, pods, err := net.ParseCIDR(n.PodCIDR())
	if err != nil {
		return err
	}
	wanted := []*net.IPNet{
		{IP: net.ParseIP(n.BridgeIP()).To4(), Mask: pods.Mask},
		{IP: net.ParseIP(n.IP()).To4(), Mask: net.CIDRMask(32, 32)},
	}
	have, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	if slices.EqualFunc(have, wanted, func(a netlink.Addr, b *net.IPNet) bool { return a.IPNet.String() == b.String() }) {
		return nil
	}
	for _, address := range have {
		if err := netlink.AddrDel(link, &address); err != nil {
			return fmt.Errorf("address %s: %w", address.IP, err)
		}
	}
	for _, address := range wanted {
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: address}); err != nil {
			return fmt.Errorf("address %s: %w", address.IP, err)
		}
	}
	return nil
}

// makeCgroups makes the parent of the pods' cgroups in every hierarchy.
func makeCgroups(name string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	for _, hierarchy := range Hierarchies(string(mounts)) {
		folder := filepath.Join(hierarchy.Path, name)
		if hierarchy.Delegates {
			if err := delegate(filepath.Dir(folder)); err != nil {
				return err
			}
		}
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err := copyCPUSet(filepath.Dir(folder), folder); err != nil {
			return err
		}
	}
	return nil
}

// delegate gives the children of a cgroup v2 folder the controllers that pods need, as far as the kernel has them.
func delegate(folder string) error {
	available, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("cgroup controllers: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte(wantedControllers(string(available))), 0o644); err != nil {
		return fmt.Errorf("cgroup controllers: %w", err)
	}
	return nil
}

// copyCPUSet: in cgroup v1 a new cpuset has no CPUs, and a process cannot be moved into it.
func copyCPUSet(from, to string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(from, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err := os.WriteFile(filepath.Join(to, file), value, 0o644); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	return nil
}
