package policy_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/vishvananda/netlink"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
	"github.com/perijove/perijove/deploy/onenode/programs/policy/enforce"
)

var (
	alice   = netip.MustParseAddr("10.244.0.5")
	mallory = netip.MustParseAddr("10.244.0.6")
	self    = netip.MustParseAddr("10.244.0.1") // the node on its bridge
)

func aliceAndMallory(policies ...*networkingv1.NetworkPolicy) policy.Cluster {
	return policy.Cluster{
		Namespaces: map[string]map[string]string{"servers": nil},
		Pods: []policy.Pod{
			{Namespace: "servers", Name: "alice", UID: "a", Address: alice, Labels: map[string]string{"user": "alice"}},
			{Namespace: "servers", Name: "mallory", UID: "m", Address: mallory, Labels: map[string]string{"user": "mallory"}},
		},
		Policies: policies,
	}
}

func deny(types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "servers", Name: "deny"}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: types},
	}
}

// never asserts that nothing came of the earlier attempts, once a later attempt that is allowed has come about on the same way.
func never(t *testing.T, what string, connected ...func() bool) {
	t.Helper()
	for _, c := range connected {
		if c() {
			t.Errorf("%s came about", what)
		}
	}
}

// TestDefaultDeny: a pod that a policy isolates is reached by its node and by no pod, on the same bridge too. Without the policy it is reached.
func TestDefaultDeny(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	a.serve(8888)
	m.serve(8888)
	node.enforce(aliceAndMallory(deny("Ingress")))
	attack := m.dial(netip.AddrPortFrom(alice, 8888))
	probe := node.dial(netip.AddrPortFrom(alice, 8888))
	eventually(t, "the node's probe", probe)
	never(t, "mallory's connection", attack)

	node.enforce(aliceAndMallory(deny("Egress")))
	attack = m.dial(netip.AddrPortFrom(alice, 8888))
	eventually(t, "the node's probe of a pod that may send nothing", node.dial(netip.AddrPortFrom(alice, 8888)))
	never(t, "mallory's connection", attack)

	node.enforce(aliceAndMallory())
	eventually(t, "without a policy", m.dial(netip.AddrPortFrom(alice, 8888)))
}

// TestK5_NodeIsPartOfEgress: the kubelet and the API server listen on the node. A pod that may send nothing does not reach them there.
func TestK5_NodeIsPartOfEgress(t *testing.T) {
	node := newNode(t, 0)
	m := node.addPod(mallory)
	node.serve(10250)
	m.serve(1)
	node.enforce(aliceAndMallory(deny("Egress")))
	attack := m.dial(netip.AddrPortFrom(self, 10250))
	eventually(t, "the node's own way", node.dial(netip.AddrPortFrom(self, 10250)))
	eventually(t, "the node's way to the pod", node.dial(netip.AddrPortFrom(mallory, 1)))
	never(t, "mallory's connection", attack)

	block := deny("Egress")
	port := intstr.FromInt32(10250)
	block.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{
		To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.244.0.1/32"}}}, Ports: []networkingv1.NetworkPolicyPort{{Port: &port}},
	}}
	node.enforce(aliceAndMallory(block))
	eventually(t, "with a rule for the node", m.dial(netip.AddrPortFrom(self, 10250)))
}

// TestK5_NoWayByIPv6: the kernel gives each pod a link-local address, which no policy knows.
func TestK5_NoWayByIPv6(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	var target string
	a.in(func() {
		must(t, addIPv6("fe80::5/64"))
		listener, err := net.Listen("tcp6", "[::]:8888")
		must(t, err)
		t.Cleanup(func() { _ = listener.Close() })
		target = "[fe80::5%eth0]:8888"
	})
	m.in(func() { must(t, addIPv6("fe80::6/64")) })
	var address *net.TCPAddr
	m.in(func() {
		var err error
		address, err = net.ResolveTCPAddr("tcp6", target)
		must(t, err)
	})
	try := func() error {
		var failure error
		m.in(func() {
			dialer := net.Dialer{Timeout: 300e6}
			connection, err := dialer.Dial("tcp6", address.String())
			if err == nil {
				_ = connection.Close()
			}
			failure = err
		})
		return failure
	}
	eventually(t, "without rules, or this test shows nothing", func() bool { return try() == nil })
	node.enforce(aliceAndMallory())
	if err := try(); err == nil {
		t.Error("mallory reaches alice by IPv6")
	}
}

func addIPv6(address string) error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	parsed.Flags = 2 // IFA_F_NODAD: usable at once
	return netlink.AddrAdd(link, parsed)
}

// TestUnknownAddress: a pod that no rule knows yet sends and gets nothing, but from its node.
func TestUnknownAddress(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	a.serve(8888)
	m.serve(8888)
	onlyAlice := aliceAndMallory()
	onlyAlice.Pods = onlyAlice.Pods[:1]
	node.enforce(onlyAlice)
	out, in := m.dial(netip.AddrPortFrom(alice, 8888)), a.dial(netip.AddrPortFrom(mallory, 8888))
	eventually(t, "the node's way", node.dial(netip.AddrPortFrom(mallory, 8888)))
	never(t, "a connection of an unknown pod", out, in)
	node.enforce(aliceAndMallory())
	eventually(t, "once it is known", m.dial(netip.AddrPortFrom(alice, 8888)))
	eventually(t, "once it is known", a.dial(netip.AddrPortFrom(mallory, 8888)))
}

// TestAddressIsReused: mallory keeps a flow to a pod alive. The pod that gets the address next does not get what mallory sends on it.
func TestAddressIsReused(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	var server *net.UDPConn
	a.in(func() {
		var err error
		server, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 8888})
		must(t, err)
		t.Cleanup(func() { _ = server.Close() })
	})
	var client net.Conn
	m.in(func() {
		var err error
		client, err = net.Dial("udp4", netip.AddrPortFrom(alice, 8888).String())
		must(t, err)
		t.Cleanup(func() { _ = client.Close() })
	})
	text := make([]byte, 100)
	got := func() string {
		var n int
		raw, err := server.SyscallConn()
		must(t, err)
		must(t, raw.Read(func(fd uintptr) bool { n, _ = recv(fd, text); return true }))
		return string(text[:max(n, 0)])
	}
	send := func(what string) {
		_, err := client.Write([]byte(what))
		must(t, err)
	}
	node.enforce(aliceAndMallory())
	send("hello")
	eventually(t, "an open pod", func() bool { return got() == "hello" })
	_, err := server.WriteTo([]byte("answer"), client.LocalAddr())
	must(t, err)

	node.enforce(aliceAndMallory(deny("Ingress"))) // alice's address is now a pod's that lets nobody in
	send("again")
	eventually(t, "the flow goes on as long as it is remembered", func() bool { return got() == "again" })
	node.in(func() { must(t, enforce.Forget([]netip.Addr{alice})) })
	send("once more")
	node.in(func() { // the node may; what mallory sent before is in front of it
		c, err := net.Dial("udp4", netip.AddrPortFrom(alice, 8888).String())
		must(t, err)
		defer c.Close()
		_, err = c.Write([]byte("node"))
		must(t, err)
	})
	var last string
	eventually(t, "the node's datagram", func() bool {
		if now := got(); now != "" {
			last += now
		}
		return strings.HasSuffix(last, "node")
	})
	if last != "node" {
		t.Errorf("the new pod got %q", last)
	}
}

// TestServiceOfTheCaller: a pod reaches itself by a Service though a policy lets nobody in; another pod does not.
func TestServiceOfTheCaller(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	a.serve(8888)
	node.in(func() {
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(fmt.Sprintf(`table ip service {
			chain to { type nat hook prerouting priority dstnat; ip daddr 10.96.0.7 dnat to %[1]s; }
			chain from { type nat hook postrouting priority srcnat; ip saddr %[1]s ip daddr %[1]s masquerade; }
		}`, alice))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("nft: %v: %s", err, out)
		}
	})
	node.enforce(aliceAndMallory(deny("Ingress", "Egress")))
	service := netip.MustParseAddrPort("10.96.0.7:8888")
	attack := m.dial(service)
	eventually(t, "alice by the Service", a.dial(service))
	never(t, "mallory by the Service", attack)
	node.enforce(aliceAndMallory())
	eventually(t, "mallory without a policy", m.dial(service))
}

// TestEveryKindOfRuleLoads: the kernel takes what the random policies seldom make, and a policy adds to another.
func TestEveryKindOfRuleLoads(t *testing.T) {
	node := newNode(t, 0)
	a, m := node.addPod(alice), node.addPod(mallory)
	a.serve(8888)
	sctp, tcp, end := corev1.ProtocolSCTP, corev1.ProtocolTCP, int32(9000)
	first, overlapping, named := intstr.FromInt32(8000), intstr.FromInt32(8500), intstr.FromString("notebook")
	more := deny("Ingress")
	more.Name = "a.name-with-everything" + strings.Repeat("-long", 40)
	more.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From: []networkingv1.NetworkPolicyPeer{
			{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/16", "10.0.0.0/8"}}},
			{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"user": "mallory"}}},
		},
		Ports: []networkingv1.NetworkPolicyPort{{Protocol: &sctp, Port: &first, EndPort: &end}, {Protocol: &sctp}, {Protocol: &tcp, Port: &named}, {Port: &first, EndPort: &end}, {Port: &overlapping, EndPort: &end}},
	}}
	node.enforce(aliceAndMallory(deny("Ingress")))
	attack := m.dial(netip.AddrPortFrom(alice, 8888))
	eventually(t, "the node's way", node.dial(netip.AddrPortFrom(alice, 8888)))
	never(t, "a connection without the second policy", attack)
	node.enforce(aliceAndMallory(deny("Ingress"), more))
	eventually(t, "with the second policy", m.dial(netip.AddrPortFrom(alice, 8888)))
}
