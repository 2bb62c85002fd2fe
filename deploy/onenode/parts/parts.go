package parts

import (
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/perijove/perijove/deploy/onenode/layout"
	"github.com/perijove/perijove/deploy/onenode/pki"
)

// Settings are the facts about the machine that the parts depend on.
type Settings struct {
	Layout     layout.Layout
	Nodes      int    // from 1
	Program    string // this program: it starts the parts of further nodes where they belong
	Key        string // of the build
	ResolvConf string // the machine's name servers
	Forward    bool   // a pod can reach those name servers, so the cluster's DNS may forward to them
}

// Part is one supervised process.
type Part struct {
	Name  string
	Path  string
	Args  []string
	After []string // parts that must be ready before this one starts
	Probe Probe
}

// How this program is called to start another one on a further node: `onenode enter NUMBER PROGRAM [ARGUMENTS]`. A kubelet also needs its own view of the
// folder for device plugins.
const (
	EnterCommand        = "enter"
	EnterKubeletCommand = "enter-kubelet"
)

// Probe tells whether a part works: an HTTP GET that answers 200 (Cert names the client certificate to show, "" for none), or a command that exits 0.
type Probe struct {
	URL     string
	Cert    string
	Command []string
}

// All returns the parts in the order in which they start: those that the cluster has once, then those that each node has.
func All(s Settings) []Part {
	all := []Part{etcd(s), apiserver(s), manager(s), scheduler(s), provisioner(s)}
	for _, n := range s.Layout.Nodes(s.Nodes) {
		all = append(all, ofNode(s, n)...)
	}
	return all
}

// ofNode returns the parts that each node has one of.
func ofNode(s Settings, n layout.Node) []Part {
	return []Part{containerd(s, n), kubelet(s, n), proxy(s, n), netpolicy(s, n), deviceplugin(s, n)}
}

// Bin is the folder of the built programs.
func (s Settings) Bin() string { return s.Layout.Bin(s.Key) }

func (s Settings) bin(name string) string    { return filepath.Join(s.Bin(), name) }
func (s Settings) pki(name string) string    { return filepath.Join(s.Layout.PKI(), name) }
func (s Settings) config(name string) string { return filepath.Join(s.Layout.Config(), name) }

// on places a part: its name tells the node, and on a further node it is started by this program in the node's network. command is EnterCommand or another that
// begins like it.
func (s Settings) on(n layout.Node, command string, part Part) Part {
	part.Name = n.Part(part.Name)
	if n.First() {
		return part
	}
	args := []string{"--state", s.Layout.State, "--cache", s.Layout.Cache, command, strconv.Itoa(n.Number), part.Path}
	part.Path, part.Args = s.Program, append(args, part.Args...)
	return part
}

// probed is where a part of a node listens for the supervisor, which is on the first node.
func probed(n layout.Node, port int) string {
	if n.First() {
		return loopback(port)
	}
	return fmt.Sprintf("%s:%d", n.IP(), port)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// APIServerURL is where clients on this machine and pods reach the API.
func APIServerURL() string {
	return fmt.Sprintf("https://%s:%d", layout.NodeIP, layout.PortAPIServer)
}

func etcd(s Settings) Part {
	client, peer := "https://"+loopback(layout.PortEtcd), "https://"+loopback(layout.PortEtcdPeer)
	return Part{
		Name: "etcd", Path: s.bin("etcd"),
		Args: []string{
			"--name=onenode", "--data-dir=" + s.Layout.Path("etcd"), "--log-level=warn",
			// A crash of the machine may lose the last writes. The node is for development, and spawning is measured on it: disks that sync slowly would be all one sees.
			"--unsafe-no-fsync",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=onenode=" + peer,
			"--client-cert-auth", "--trusted-ca-file=" + s.pki(pki.EtcdCA), "--cert-file=" + s.pki("etcd.crt"), "--key-file=" + s.pki("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + s.pki(pki.EtcdCA), "--peer-cert-file=" + s.pki("etcd.crt"), "--peer-key-file=" + s.pki("etcd.key"),
			"--auto-compaction-mode=periodic", "--auto-compaction-retention=1h",
		},
		Probe: Probe{URL: client + "/readyz", Cert: "etcd-client"},
	}
}

func containerd(s Settings, n layout.Node) Part {
	return s.on(n, EnterCommand, Part{
		Name: "containerd", Path: s.bin("containerd"),
		Args:  []string{"--config", s.config(n.Part("containerd") + ".toml")},
		Probe: Probe{Command: []string{s.bin("ctr"), "--address", n.ContainerdSocket(), "version"}},
	})
}

func apiserver(s Settings) Part {
	return Part{
		Name: "kube-apiserver", Path: s.bin("kube-apiserver"), After: []string{"etcd"},
		Args: []string{
			"--bind-address=" + layout.NodeIP, "--advertise-address=" + layout.NodeIP, fmt.Sprintf("--secure-port=%d", layout.PortAPIServer),
			"--service-cluster-ip-range=" + layout.ServiceCIDR,
			// As in other clusters: namespaces say by their Pod Security Standard who may have one. CSI drivers need it.
			"--allow-privileged=true",
			"--authorization-mode=Node,RBAC", "--anonymous-auth=false", "--enable-admission-plugins=NodeRestriction", "--profiling=false",
			"--etcd-servers=https://" + loopback(layout.PortEtcd), "--etcd-cafile=" + s.pki(pki.EtcdCA),
			"--etcd-certfile=" + s.pki("etcd-client.crt"), "--etcd-keyfile=" + s.pki("etcd-client.key"),
			"--client-ca-file=" + s.pki(pki.CA), "--tls-cert-file=" + s.pki("apiserver.crt"), "--tls-private-key-file=" + s.pki("apiserver.key"),
			"--kubelet-certificate-authority=" + s.pki(pki.CA),
			"--kubelet-client-certificate=" + s.pki("apiserver-kubelet.crt"), "--kubelet-client-key=" + s.pki("apiserver-kubelet.key"),
			"--kubelet-preferred-address-types=InternalIP,Hostname", // the node's host name is in no DNS
			"--requestheader-client-ca-file=" + s.pki(pki.FrontCA), "--requestheader-allowed-names=" + frontProxyCN,
			"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + s.pki("front-proxy.crt"), "--proxy-client-key-file=" + s.pki("front-proxy.key"),
			"--service-account-issuer=https://kubernetes.default.svc." + layout.Domain,
			"--service-account-key-file=" + s.pki(pki.SAPub), "--service-account-signing-key-file=" + s.pki(pki.SAKey),
		},
		Probe: Probe{URL: APIServerURL() + "/readyz", Cert: "admin"},
	}
}

func manager(s Settings) Part {
	config := s.config("controller-manager.kubeconfig")
	return Part{
		Name: "kube-controller-manager", Path: s.bin("kube-controller-manager"), After: []string{"kube-apiserver"},
		Args: []string{
			"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", layout.PortManager), "--profiling=false", "--leader-elect=false",
			"--tls-cert-file=" + s.pki("controller-manager.crt"), "--tls-private-key-file=" + s.pki("controller-manager.key"),
			"--client-ca-file=" + s.pki(pki.CA), "--requestheader-client-ca-file=" + s.pki(pki.FrontCA),
			"--root-ca-file=" + s.pki(pki.CA), "--service-account-private-key-file=" + s.pki(pki.SAKey),
			"--use-service-account-credentials", "--service-cluster-ip-range=" + layout.ServiceCIDR, "--cluster-cidr=" + layout.PodCIDR, "--allocate-node-cidrs=false",
		},
		Probe: Probe{URL: "https://" + loopback(layout.PortManager) + "/healthz", Cert: "admin"},
	}
}

func scheduler(s Settings) Part {
	config := s.config("scheduler.kubeconfig")
	return Part{
		Name: "kube-scheduler", Path: s.bin("kube-scheduler"), After: []string{"kube-apiserver"},
		Args: []string{
			"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", layout.PortScheduler), "--profiling=false", "--leader-elect=false",
			"--tls-cert-file=" + s.pki("scheduler.crt"), "--tls-private-key-file=" + s.pki("scheduler.key"),
			"--client-ca-file=" + s.pki(pki.CA), "--requestheader-client-ca-file=" + s.pki(pki.FrontCA),
			"--kube-api-qps=200", "--kube-api-burst=400",
		},
		Probe: Probe{URL: "https://" + loopback(layout.PortScheduler) + "/readyz", Cert: "admin"},
	}
}

func kubelet(s Settings, n layout.Node) Part {
	return s.on(n, EnterKubeletCommand, Part{
		Name: "kubelet", Path: s.bin("kubelet"), After: []string{"kube-apiserver", n.Part("containerd")},
		Args: []string{
			"--config=" + s.config(n.Part("kubelet")+".yaml"), "--kubeconfig=" + s.config(n.Part("kubelet")+".kubeconfig"),
			"--hostname-override=" + n.Name(), "--node-ip=" + n.IP(),
			"--root-dir=" + n.KubeletRoot(), "--cert-dir=" + filepath.Join(n.KubeletRoot(), "pki"),
		},
		Probe: Probe{URL: "http://" + probed(n, layout.PortKubeletLive) + "/healthz"},
	})
}

func proxy(s Settings, n layout.Node) Part {
	return s.on(n, EnterCommand, Part{
		Name: "kube-proxy", Path: s.bin("kube-proxy"), After: []string{"kube-apiserver"},
		Args:  []string{"--config=" + s.config(n.Part("kube-proxy")+".yaml"), "--hostname-override=" + n.Name()},
		Probe: Probe{URL: "http://" + probed(n, layout.PortProxyLive) + "/livez"},
	})
}

// netpolicy enforces NetworkPolicies. The kubelet does not wait for it: the CNI plugin does, with each pod.
func netpolicy(s Settings, n layout.Node) Part {
	health := probed(n, layout.PortPolicy)
	return s.on(n, EnterCommand, Part{
		Name: "netpolicy", Path: s.bin("netpolicy"), After: []string{"kube-apiserver"},
		Args: []string{
			"-kubeconfig=" + s.config("netpolicy.kubeconfig"), "-node=" + n.Name(), "-pods=" + n.PodCIDR(), "-bridge=" + layout.Bridge,
			"-socket=" + n.PolicySocket(), "-health=" + health,
		},
		Probe: Probe{URL: "http://" + health + "/healthz"},
	})
}

func provisioner(s Settings) Part {
	return Part{
		Name: "provisioner", Path: s.bin("provisioner"), After: []string{"kube-apiserver"},
		Args: []string{
			"--kubeconfig=" + s.config("provisioner.kubeconfig"), "--folder=" + s.Layout.Volumes(),
			fmt.Sprintf("--metrics-port=%d", layout.PortProvisioner),
		},
		Probe: Probe{URL: "http://" + loopback(layout.PortProvisioner) + "/metrics"},
	}
}

// deviceplugin gives the node two GPUs and two parts of one, none of which exists: servers ask for them, wait for them and give them back.
func deviceplugin(s Settings, n layout.Node) Part {
	health := probed(n, layout.PortDevices)
	return s.on(n, EnterCommand, Part{
		Name: "deviceplugin", Path: s.bin("deviceplugin"), After: []string{n.Part("kubelet")},
		Args:  []string{"-folder=" + n.DevicePlugins(), "-health=" + health, "-resource=nvidia.com/gpu=2", "-resource=nvidia.com/mig-1g.5gb=2"},
		Probe: Probe{URL: "http://" + health + "/healthz"},
	})
}
