package host

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/space"
)

// uplink is the name of the cable's end in a further node.
const uplink = "eth0"

// makeSpace makes the network namespace of a further node, a cable from the machine into it, and the folder whose mounts its kubelet shares with the machine.
func makeSpace(n layout.Node) error {
	made, err := space.MakeNetwork(n.Namespace())
	if err != nil {
		return err
	}
	if made { // a cable that is left leads nowhere
		if err := removeLink(n.Cable()); err != nil {
			return fmt.Errorf("cable: %w", err)
		}
	}
	if err := makeCable(n); err != nil {
		return fmt.Errorf("cable: %w", err)
	}
	return space.ShareMounts(n.KubeletRoot())
}

// makeCable lays the cable and the machine's routes to the node and its pods.
func makeCable(n layout.Node) error {
	link, err := netlink.LinkByName(n.Cable())
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		if err := addCable(n); err != nil {
			return err
		}
		link, err = netlink.LinkByName(n.Cable())
	}
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	_, pods, err := net.ParseCIDR(n.PodCIDR())
	if err != nil {
		return err
	}
	source, node := net.ParseIP(layout.NodeIP), net.ParseIP(n.IP())
	index := link.Attrs().Index
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: host(node), Src: source, Scope: netlink.SCOPE_LINK}); err != nil {
		return err
	}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: pods, Gw: node, Src: source, Flags: int(netlink.FLAG_ONLINK)})
}

func addCable(n layout.Node) error {
	namespace, err := os.Open(n.Namespace())
	if err != nil {
		return err
	}
	defer namespace.Close()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = n.Cable()
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: uplink, PeerNamespace: netlink.NsFd(int(namespace.Fd()))})
}

// plugIn is called inside the node: its way to all others, and to the outside, is the machine.
func plugIn(n layout.Node) error {
	for _, name := range []string{"lo", uplink} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	link, err := netlink.LinkByName(uplink)
	if err != nil {
		return err
	}
	source, machine := net.ParseIP(n.IP()), net.ParseIP(layout.NodeIP)
	index := link.Attrs().Index
	if err := netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: host(machine), Src: source, Scope: netlink.SCOPE_LINK}); err != nil {
		return err
	}
	everywhere := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	return netlink.RouteReplace(&netlink.Route{LinkIndex: index, Dst: everywhere, Gw: machine, Src: source, Flags: int(netlink.FLAG_ONLINK)})
}

func host(address net.IP) *net.IPNet { return &net.IPNet{IP: address, Mask: net.CIDRMask(32, 32)} }

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil
	}
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}
