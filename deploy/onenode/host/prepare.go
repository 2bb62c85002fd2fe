package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vishvananda/netlink"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

// Prepare brings the machine into the state that the parts need. The ledger is written first.
func Prepare(l layout.Layout) error {
	loadModules()
	if err := note(l.Ledger()); err != nil {
		return err
	}
	for name, value := range sysctls() {
		if value == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("kernel setting %s: %w (on some kernels it needs `modprobe br_netfilter`)", name, err)
		}
	}
	if err := makeBridge(); err != nil {
		return fmt.Errorf("bridge %s: %w", layout.Bridge, err)
	}
	if err := nft(ownTable()); err != nil {
		return err
	}
	return makeCgroups()
}

// loadModules is best effort: most kernels load them on demand or have them built in, and what is really missing shows in the step that needs it.
func loadModules() {
	for _, module := range []string{"overlay", "bridge", "br_netfilter", "nf_tables", "nf_nat"} {
		_ = exec.Command("modprobe", "--quiet", module).Run()
	}
}

// makeBridge makes the bridge of the pods before any pod, because it also carries the node's own address: the API server listens there.
func makeBridge() error {
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
	_, pods, err := net.ParseCIDR(layout.PodCIDR)
	if err != nil {
		return err
	}
	for _, address := range []net.IPNet{
		{IP: net.ParseIP(layout.BridgeIP), Mask: pods.Mask},
		{IP: net.ParseIP(layout.NodeIP), Mask: net.CIDRMask(32, 32)},
	} {
		if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: &address}); err != nil {
			return fmt.Errorf("address %s: %w", address.IP, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	// Service addresses need some route, or programs on a machine without a default route get "network is unreachable" before kube-proxy's rules see the packet.
	_, services, err := net.ParseCIDR(layout.ServiceCIDR)
	if err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: services, Src: net.ParseIP(layout.NodeIP), Scope: netlink.SCOPE_LINK})
}

// makeCgroups makes the parent of the pods' cgroups.
func makeCgroups() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	for _, hierarchy := range Hierarchies(string(mounts)) {
		folder := filepath.Join(hierarchy.Path, layout.CgroupName)
		if hierarchy.Delegates {
			if err := delegate(hierarchy.Path); err != nil {
				return err
			}
		}
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup: %w", err)
		}
		if err := copyCPUSet(hierarchy.Path, folder); err != nil {
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
