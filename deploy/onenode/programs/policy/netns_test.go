package policy_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/knftables"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/enforce"
)

// space is a network namespace of the test.
type space struct {
	t  *testing.T
	ns netns.NsHandle
}

// newSpace makes a network namespace that goes when the test ends.
func newSpace(t *testing.T) space {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	made, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := netns.Set(before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() })
	s := space{t, made}
	s.in(func() { up(t, "lo") })
	return s
}

// in runs do in the namespace. Sockets that do makes stay there, and so do programs that it starts.
func (s space) in(do func()) {
	s.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		s.t.Fatal(err)
	}
	defer before.Close()
	if err := netns.Set(s.ns); err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(before); err != nil {
			panic(err) // this thread would run other tests in a wrong namespace
		}
	}()
	do()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func up(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(link))
	return link
}

// cable joins two namespaces by a veth pair whose ends have the given names.
func cable(t *testing.T, a space, nameA string, b space, nameB string) {
	t.Helper()
	a.in(func() {
		must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nameA}, PeerName: nameB, PeerNamespace: netlink.NsFd(b.ns)}))
		up(t, nameA)
	})
	b.in(func() { up(t, nameB) })
}

func give(t *testing.T, name, address string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	parsed, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrAdd(link, parsed))
}

func route(t *testing.T, to, via string) {
	t.Helper()
	parsed, err := netlink.ParseIPNet(to)
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{Dst: parsed, Gw: net.ParseIP(via)}))
}

// testNode is a node: a namespace with a bridge, pods as namespaces on it, and a writer of rules.
type testNode struct {
	space
	node   policy.Node
	writer *enforce.Writer
	pods   int
}

const bridge = "pjpol0"

// newNode makes a node that gives its pods addresses of 10.244.N.0/24.
func newNode(t *testing.T, n int) *testNode {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network namespaces")
	}
	node := &testNode{space: newSpace(t), node: policy.Node{Range: netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", n)), Bridge: bridge}}
	node.in(func() {
		must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge}}))
		give(t, bridge, fmt.Sprintf("10.244.%d.1/24", n))
		up(t, bridge)
		for _, file := range []string{"ipv4/ip_forward", "bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"} {
			must(t, os.WriteFile("/proc/sys/net/"+file, []byte("1"), 0o644))
		}
		nft, err := knftables.New(knftables.InetFamily, enforce.TableName)
		must(t, err)
		node.writer = enforce.NewWriter(nft, node.node)
	})
	return node
}

// addPod puts a pod with the address on the node's bridge.
func (n *testNode) addPod(address netip.Addr) space {
	n.t.Helper()
	pod := newSpace(n.t)
	n.pods++
	cable(n.t, n.space, fmt.Sprintf("pod%d", n.pods), pod, "eth0")
	n.in(func() {
		port, err := netlink.LinkByName(fmt.Sprintf("pod%d", n.pods))
		must(n.t, err)
		master, err := netlink.LinkByName(bridge)
		must(n.t, err)
		must(n.t, netlink.LinkSetMaster(port, master))
		must(n.t, netlink.LinkSetHairpin(port, true))
	})
	pod.in(func() {
		give(n.t, "eth0", address.String()+"/24")
		route(n.t, "0.0.0.0/0", n.node.Range.Addr().Next().String())
	})
	return pod
}

// enforce writes the rules for the node. pods says which pods are the node's.
func (n *testNode) enforce(cluster policy.Cluster) {
	n.t.Helper()
	seen := cluster
	seen.Pods = nil
	for _, pod := range cluster.Pods {
		pod.Local = n.node.Range.Contains(pod.Address)
		seen.Pods = append(seen.Pods, pod)
	}
	table, _ := policy.Compute(seen)
	n.in(func() {
		if _, err := n.writer.Write(n.t.Context(), table); err != nil {
			n.t.Fatal(err)
		}
	})
}

// dial begins a connection in the namespace and returns whether it has come about, to ask again and again: a packet that is dropped tells nothing.
func (s space) dial(address netip.AddrPort) (connected func() bool) {
	s.t.Helper()
	fd := -1
	var err error
	s.in(func() {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		must(s.t, err)
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: address.Addr().As4(), Port: int(address.Port())})
	})
	if err != nil && err != unix.EINPROGRESS {
		s.t.Fatalf("connect %s: %v", address, err)
	}
	s.t.Cleanup(func() { _ = unix.Close(fd) })
	return func() bool {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
		n, err := unix.Poll(ready, 0)
		return err == nil && n == 1 && ready[0].Revents&unix.POLLOUT != 0 && ready[0].Revents&(unix.POLLERR|unix.POLLHUP) == 0
	}
}

// serve accepts connections on a port of the namespace and keeps them.
func (s space) serve(port int) *net.TCPListener {
	s.t.Helper()
	var listener *net.TCPListener
	s.in(func() {
		var err error
		listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		must(s.t, err)
	})
	s.t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// eventually waits for a condition that is expected to come about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// recv reads a datagram, or says that there is none.
func recv(fd uintptr, into []byte) (int, error) {
	n, _, err := unix.Recvfrom(int(fd), into, unix.MSG_DONTWAIT)
	return n, err
}
