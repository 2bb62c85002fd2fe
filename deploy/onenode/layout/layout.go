package layout

import "path/filepath"

// Fixed names and addresses of the cluster. The addresses are private to the machine: they sit on a bridge that has no port to the outside.
const (
	DefaultState = "/var/lib/perijove-onenode"

	NodeName    = "onenode"       // of the first node; see Node
	NodeIP      = "10.245.0.1"    // of the first node: kube-apiserver and its kubelet listen here only
	NodeCIDR    = "10.245.0.0/24" // of all nodes
	Bridge      = "perijove0"     // of a node's pods, on every node; it begins with InterfaceStart
	PodCIDR     = "10.244.0.0/16" // of all nodes; each has a part of it
	ServiceCIDR = "10.96.0.0/16"
	ServiceIP   = "10.96.0.1"  // first address of ServiceCIDR: Kubernetes gives it to the Service `kubernetes`
	DNSIP       = "10.96.0.10" // by custom the tenth
	Domain      = "cluster.local"

	Network        = "perijove-onenode"  // CNI network name; it starts the name of each file that the CNI library caches
	InterfaceStart = "perijove"          // start of the names of all our network interfaces on the machine
	NFTTable       = "perijove_onenode"  // our own nftables table (masquerading of pods)
	PolicyTable    = "perijove_policy"   // the nftables table of NetworkPolicies; package enforce has it too
	CgroupName     = "/perijove-onenode" // parent of every pod's cgroup, on every node

	// NodeMarker is an environment variable of the processes of a further node: its number.
	NodeMarker = "PERIJOVE_ONENODE_NODE"

	// Marker is an environment variable that every process of the node inherits (pods do not: runc gives them their own environment).
	// Its value is the state folder. `down` finds by it the processes that outlived a kill -9.
	Marker = "PERIJOVE_ONENODE_STATE"
)

// Ports that the parts listen on: on loopback, except APIServer and Kubelet, which are on the node's address. What the supervisor probes on further nodes is on
// their address too: it cannot reach their loopback.
const (
	PortAPIServer   = 6443
	PortEtcd        = 2379
	PortEtcdPeer    = 2380
	PortKubelet     = 10250
	PortKubeletLive = 10248
	PortManager     = 10257
	PortScheduler   = 10259
	PortProxy       = 10249
	PortProxyLive   = 10256
	PortProvisioner = 10299
	PortDevices     = 10298
	PortPolicy      = 10297
)

// Layout is the two folders of one cluster.
type Layout struct {
	State string // absolute
	Cache string // absolute
}

// Path joins names below the state folder.
func (l Layout) Path(names ...string) string {
	return filepath.Join(append([]string{l.State}, names...)...)
}

// Folders of the state, each with one owner.
func (l Layout) PKI() string     { return l.Path("pki") }
func (l Layout) Config() string  { return l.Path("config") }
func (l Layout) Logs() string    { return l.Path("logs") }
func (l Layout) Volumes() string { return l.Path("volumes") }
func (l Layout) Further() string { return l.Path("nodes") } // a folder for each node but the first

// Single files of the state.
func (l Layout) Kubeconfig() string    { return l.Path("kubeconfig") }
func (l Layout) Ledger() string        { return l.Path("ledger.json") }
func (l Layout) Finished() string      { return l.Path("finished") }
func (l Layout) Lock() string          { return l.Path("lock") }
func (l Layout) ControlSocket() string { return l.Path("onenode.sock") }

// LogFile is where a part's output goes.
func (l Layout) LogFile(part string) string { return filepath.Join(l.Logs(), part+".log") }

// Bin is the folder of built programs for one build key.
func (l Layout) Bin(key string) string { return filepath.Join(l.Cache, "onenode", key, "bin") }

// Paths outside the state folder that programs of others have built in. `down` removes from them only what carries our name.
const (
	ShimSockets   = "/run/containerd/s"   // containerd: socketRoot of its package shim
	ContainerdRun = "/run/containerd"     // made by containerd for every state folder
	CNICache      = "/var/lib/cni"        // libcni CacheDir; results/<network>-<container>-<interface>
	ContainerLogs = "/var/log/containers" // kubelet: links into its pod log folder
	KubeletBase   = "/var/lib/kubelet"    // kubelet makes the folder for device plugins for every root folder
	DevicePlugins = "/var/lib/kubelet/device-plugins"
	DeviceSockets = "perijove-"      // start of the names of our sockets there; package devices has it too
	CNIConfigBase = "/etc/cni"       // containerd's configuration watcher makes it
	HostPortTable = "cni_hostport"   // CNI portmap's nftables table, shared by all networks of the machine
	ProxyTable    = "kube-proxy"     // kube-proxy's nftables table
	CgroupFS      = "/sys/fs/cgroup" // cgroup v2, or the folder of the v1 hierarchies
	SystemdResolv = "/run/systemd/resolve/resolv.conf"
)
