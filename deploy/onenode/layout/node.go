package layout

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// MaxNodes is how many nodes there can be. Each is a kubelet, a containerd and a kube-proxy of its own, 150 to 200 MB of memory and a few percent of a core
// without any pod; the certificates are made for all of them at once, so that another node needs no new authority, which running pods would not trust.
const MaxNodes = 5

// ParseNodes reads how many nodes there shall be.
func ParseNodes(text string) (int, error) {
	count, err := strconv.Atoi(text)
	if err != nil || count < 1 || count > MaxNodes {
		return 0, fmt.Errorf("%q nodes cannot be had: write a number from 1 to %d (each is a kubelet and a containerd of its own on this one machine)", text, MaxNodes)
	}
	return count, nil
}

// Node is one node of the cluster. The first is the machine itself; each further one has network interfaces, rules and a loopback of its own (a network
// namespace) on the same machine.
type Node struct {
	Layout Layout
	Number int // from 1
}

// Node returns the node with that number.
func (l Layout) Node(number int) Node { return Node{Layout: l, Number: number} }

// Nodes returns the first count nodes.
func (l Layout) Nodes(count int) []Node {
	var nodes []Node
	for number := 1; number <= count; number++ {
		nodes = append(nodes, l.Node(number))
	}
	return nodes
}

// First reports whether the node is the machine itself.
func (n Node) First() bool { return n.Number == 1 }

// Part is what a part of each node, or a file for it, is called here: kubelet on the first node, kubelet-2 on the second.
func (n Node) Part(name string) string {
	if n.First() {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n.Number)
}

// Name is the node's name in Kubernetes.
func (n Node) Name() string { return n.Part(NodeName) }

// IP is the node's address: its kubelet listens there.
func (n Node) IP() string { return fmt.Sprintf("10.245.0.%d", n.Number) }

// PodCIDR is the range of the addresses of its pods.
func (n Node) PodCIDR() string { return fmt.Sprintf("10.244.%d.0/24", n.Number-1) }

// BridgeIP is the pods' router.
func (n Node) BridgeIP() string { return fmt.Sprintf("10.244.%d.1", n.Number-1) }

// Network is the CNI network's name.
func (n Node) Network() string { return n.Part(Network) }

// Cgroup is the parent of the cgroups of its pods. Those of further nodes lie inside the first one's.
func (n Node) Cgroup() string {
	if n.First() {
		return CgroupName
	}
	return filepath.Join(CgroupName, "node-"+strconv.Itoa(n.Number))
}

// Home is the folder of what is the node's own: the state folder for the first node.
func (n Node) Home() string {
	if n.First() {
		return n.Layout.State
	}
	return filepath.Join(n.Layout.Further(), strconv.Itoa(n.Number))
}

func (n Node) path(names ...string) string {
	return filepath.Join(append([]string{n.Home()}, names...)...)
}

// Folders and files of one node.
func (n Node) KubeletRoot() string      { return n.path("kubelet") }
func (n Node) PodLogs() string          { return n.path("pod-logs") }
func (n Node) IPAM() string             { return n.path("ipam") }
func (n Node) VolumePlugins() string    { return n.path("volume-plugins") }
func (n Node) ContainerdSocket() string { return n.path("containerd", "run", "containerd.sock") }
func (n Node) ContainerdState() string  { return n.path("containerd", "run") }
func (n Node) ContainerdRoot() string   { return n.path("containerd", "root") }
func (n Node) CNIConfig() string        { return filepath.Join(n.Layout.Config(), n.Part("cni")) }

// PolicySocket is where the CNI plugin tells the enforcer of NetworkPolicies of pods.
func (n Node) PolicySocket() string { return n.path("policy.sock") }

// DevicePlugins is where device plugins find the kubelet. A kubelet looks at one place only, so that of a further node sees this folder there.
func (n Node) DevicePlugins() string {
	if n.First() {
		return DevicePlugins
	}
	return n.path("device-plugins")
}

// Namespace is the file that holds the network namespace of a further node.
func (n Node) Namespace() string { return n.path("network") }

// Cable is the machine's end of the cable to a further node.
func (n Node) Cable() string { return InterfaceStart + "-n" + strconv.Itoa(n.Number) }
