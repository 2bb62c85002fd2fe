package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

// twoNodes are two nodes with a link between them, and a machine outside, 192.0.2.7, behind the first.
func twoNodes(t *testing.T) (nodes []*testNode, outside space) {
	t.Helper()
	nodes = []*testNode{newNode(t, 0), newNode(t, 1)}
	outside = newSpace(t)
	cable(t, nodes[0].space, "link", nodes[1].space, "link")
	cable(t, nodes[0].space, "out", outside, "eth0")
	nodes[0].in(func() {
		give(t, "link", "10.245.0.1/30")
		give(t, "out", "192.0.2.1/24")
		route(t, "10.244.1.0/24", "10.245.0.2")
	})
	nodes[1].in(func() {
		give(t, "link", "10.245.0.2/30")
		route(t, "0.0.0.0/0", "10.245.0.1")
	})
	outside.in(func() {
		give(t, "eth0", "192.0.2.7/24")
		route(t, "10.0.0.0/8", "192.0.2.1")
	})
	return nodes, outside
}

// TestKernelAgainstOracle sends real packets between pods on two nodes and a machine outside, by the rules of random policies: what the API's documentation
// allows arrives, and nothing else does.
func TestKernelAgainstOracle(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cluster := randomCluster(rand.New(rand.NewPCG(seed, 13)))
			nodes, outside := twoNodes(t)
			spaces := map[netip.Addr]space{netip.MustParseAddr("192.0.2.7"): outside}
			for _, pod := range cluster.Pods {
				for _, node := range nodes {
					if node.node.Range.Contains(pod.Address) {
						spaces[pod.Address] = node.addPod(pod.Address)
					}
				}
			}
			for _, node := range nodes {
				node.enforce(cluster)
			}
			compare(t, cluster, spaces)
		})
	}
}

// compare makes every attempt between ends that have a namespace.
func compare(t *testing.T, cluster policy.Cluster, spaces map[netip.Addr]space) {
	t.Helper()
	arrived := newMailbox(t, spaces)
	type try struct {
		attempt
		done func() bool
	}
	var good, bad []try
	for a := range attempts(cluster) {
		from, known := spaces[a.from.address]
		_, alsoKnown := spaces[a.to.address]
		if !known || !alsoKnown || a.from.address == a.to.address || a.port == 1 || a.port == 81 || a.port == 65535 {
			continue
		}
		var done func() bool
		switch a.protocol {
		case corev1.ProtocolTCP:
			done = from.dial(netip.AddrPortFrom(a.to.address, uint16(a.port)))
		case corev1.ProtocolUDP:
			done = arrived.send(from, a)
		default:
			continue
		}
		if allowed(cluster, a) {
			good = append(good, try{a, done})
		} else {
			bad = append(bad, try{a, done})
		}
	}
	say := func(tried try) string {
		dump, _ := yaml.Marshal(cluster.Policies)
		return fmt.Sprintf("%s -> %s %s/%d\n%s", tried.from.address, tried.to.address, tried.protocol, tried.port, dump)
	}
	for _, tried := range good {
		eventually(t, "allowed: "+say(tried), tried.done)
	}
	for _, tried := range bad { // all was sent before; what was to arrive has arrived
		if tried.done() {
			t.Fatal("not allowed, and came through: " + say(tried))
		}
	}
	t.Logf("%d arrived, %d did not", len(good), len(bad))
}

// mailbox collects datagrams in all namespaces.
type mailbox struct {
	sockets map[string]*net.UDPConn
	seen    map[string]bool
}

func newMailbox(t *testing.T, spaces map[netip.Addr]space) *mailbox {
	t.Helper()
	box := &mailbox{sockets: map[string]*net.UDPConn{}, seen: map[string]bool{}}
	for address, s := range spaces {
		for _, port := range []int{53, 80, 8080, 8081} {
			s.serve(port)
			s.in(func() {
				socket, err := net.ListenUDP("udp4", &net.UDPAddr{Port: port})
				must(t, err)
				t.Cleanup(func() { _ = socket.Close() })
				box.sockets[fmt.Sprintf("%s:%d", address, port)] = socket
			})
		}
	}
	return box
}

// send sends a datagram from a socket of its own, so that it is no answer and of no known flow.
func (b *mailbox) send(from space, a attempt) (arrived func() bool) {
	to := netip.AddrPortFrom(a.to.address, uint16(a.port)).String()
	text := fmt.Sprintf("%s>%s", a.from.address, to)
	from.in(func() {
		socket, err := net.Dial("udp4", to)
		must(from.t, err)
		defer socket.Close()
		_, err = socket.Write([]byte(text))
		must(from.t, err)
	})
	return func() bool {
		b.read(to)
		return b.seen[text]
	}
}

// read takes what the socket has, without waiting.
func (b *mailbox) read(at string) {
	raw, err := b.sockets[at].SyscallConn()
	if err != nil {
		panic(err)
	}
	_ = raw.Read(func(fd uintptr) bool {
		for {
			text := make([]byte, 100)
			n, err := recv(fd, text)
			if err != nil {
				return true
			}
			b.seen[strings.TrimSpace(string(text[:n]))] = true
		}
	})
}
