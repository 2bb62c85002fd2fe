//go:build onenode

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/perijove/perijove/deploy/onenode/layout"
)

var second = layout.Layout{State: testState}.Node(2)

// onSecond puts a pod on the second node.
func onSecond(manifest string) string {
	return strings.Replace(manifest, "spec:\n", "spec:\n  nodeName: "+second.Name()+"\n", 1)
}

// testSecondNode adds a node to a cluster that runs: what works on one node works on both and between them.
func (n node) testSecondNode(t *testing.T, archive string) {
	n.t = t
	before := n.containerOf("web")
	n.onenode("--nodes", "2", "up")
	if now := n.containerOf("web"); now != before {
		t.Errorf("the pod of the first node was started anew: %s, was %s", now, before)
	}
	if out := n.onenode("nodes"); out != "onenode 10.245.0.1\nonenode-2 10.245.0.2\n" {
		t.Errorf("nodes: %s", out)
	}
	if out := n.onenode("load", archive); !strings.Contains(out, "loaded "+testImage) {
		t.Errorf("load into the new node: %s", out)
	}
	n.apply(onSecond(pod("far", fmt.Sprintf("hostPort: %d", hostPort), "")))
	n.kube("wait", "--for=condition=Ready", "pod/far", "--timeout=30s")
	if node := n.kube("get", "pod", "far", "-o", "jsonpath={.spec.nodeName} {.status.podIP}"); !strings.HasPrefix(node, "onenode-2 10.244.1.") {
		t.Errorf("it is at %s", node)
	}
	n.testBetweenNodes()
	n.testPortForward("far")
	if out := n.kube("logs", "far"); !strings.Contains(out, "testpod serves on :8080") {
		t.Errorf("logs: %q", out)
	}
	url := fmt.Sprintf("http://%s:%d/", second.IP(), hostPort)
	n.eventually(url, func() error { return answers(url, "testpod far") })
	if err := answers(fmt.Sprintf("http://localhost:%d/", hostPort), ""); err == nil {
		t.Error("the second node's port is taken on the first")
	}
	n.eventually("both nodes have their devices", n.devices)
	n.testSharedVolume()
	n.guard(second, layout.PortProxy)
}

func (n node) containerOf(pod string) string {
	return n.kube("get", "pod", pod, "-o", "jsonpath={.status.containerStatuses[0].containerID}")
}

func (n node) testBetweenNodes() {
	n.t.Helper()
	n.kube("expose", "pod", "far", "--name=far-service", "--port=80", "--target-port=8080")
	far, web := n.kube("get", "pod", "far", "-o", "jsonpath={.status.podIP}"), n.kube("get", "pod", "web", "-o", "jsonpath={.status.podIP}")
	for _, way := range []struct{ from, url, answer string }{
		{"web", "http://" + far + ":8080/", "testpod far"},
		{"web", "http://far-service.default.svc.cluster.local/", "testpod far"},
		{"far", "http://" + web + ":8080/", "testpod web"},
		{"far", "http://web-service.default.svc.cluster.local/", "testpod web"},
		{"far", "http://far-service/", "testpod far"},
		{"far", fmt.Sprintf("http://%s:%d/", second.IP(), hostPort), "testpod far"},
		{"web", fmt.Sprintf("http://%s:%d/", second.IP(), hostPort), "testpod far"},
	} {
		n.eventually(way.from+" gets "+way.url, func() error { return n.says(way.answer, way.from, "get", way.url) })
	}
	address := n.kube("get", "service", "far-service", "-o", "jsonpath={.spec.clusterIP}")
	n.eventually("ClusterIP from the machine", func() error { return answers("http://"+address+"/", "testpod far") })
}

// devices tells whether each node offers both GPUs.
func (n node) devices() error {
	out := n.kube("get", "nodes", "-o", `jsonpath={range .items[*]}{.metadata.name}={.status.allocatable.nvidia\.com/gpu} {end}`)
	if out != "onenode=2 onenode-2=2 " {
		return errors.New(out)
	}
	return nil
}

// A user's files are there on whichever node the server starts.
func (n node) testSharedVolume() {
	n.t.Helper()
	const mount = "volumeMounts: [{name: home, mountPath: /home}]"
	n.apply(strings.ReplaceAll(claim, "home", "shared"))
	writer := func(name string) string {
		return strings.ReplaceAll(pod(name, "", mount), "claimName: home", "claimName: shared")
	}
	n.apply(writer("here"))
	n.kube("wait", "--for=condition=Ready", "pod/here", "--timeout=30s")
	if out, err := n.exec("here", "write", "/home/note"); err != nil {
		n.t.Fatalf("write: %q %v", out, err)
	}
	n.kube("delete", "pod", "here", "--now")
	n.apply(onSecond(writer("there")))
	n.kube("wait", "--for=condition=Ready", "pod/there", "--timeout=30s")
	if out, err := n.exec("there", "read", "/home/note"); out != "written by uid 1000\n" {
		n.t.Errorf("the file on the second node: %q %v", out, err)
	}
	n.kube("delete", "pod", "there", "--now")
	n.kube("delete", "pvc", "shared")
}

// CVE-2020-8558: with route_localnet on the bridge a pod could reach what listens on its node's loopback, such as on port. The control shows that the packet gets
// there once the guard is out of the way, so the refusal is the guard's work.
func (n node) guard(at layout.Node, port int) {
	t := n.t
	t.Helper()
	on := func(args ...string) { command(t, args[0], args[1:]...) } // on the node
	if !at.First() {
		on = func(args ...string) { command(t, "nsenter", append([]string{"--net=" + at.Namespace()}, args...)...) }
	}
	const stranger = "perijove-test" // a network namespace on the pods' bridge that routes 127.0.0.1 to the node, as a pod with NET_ADMIN can
	command(t, "ip", "netns", "add", stranger)
	defer command(t, "ip", "netns", "delete", stranger)
	inside := func(args ...string) { command(t, "ip", append([]string{"netns", "exec", stranger}, args...)...) }
	const hardware = "02:00:00:00:00:fa"
	address := strings.TrimSuffix(at.BridgeIP(), ".1") + ".250"
	on("ip", "link", "add", "pjtest0", "master", layout.Bridge, "up", "type", "veth", "peer", "name", "eth0", "address", hardware, "netns", "/run/netns/"+stranger)
	// The node would ask for the stranger's hardware address in the name of 127.0.0.1, and often get no answer in time.
	on("ip", "neighbour", "replace", address, "lladdr", hardware, "dev", layout.Bridge)
	inside("ip", "address", "add", address+"/24", "dev", "eth0")
	inside("ip", "link", "set", "eth0", "up")
	inside("ip", "route", "add", "default", "via", at.BridgeIP())
	inside("sysctl", "-q", "-w", "net.ipv4.conf.eth0.route_localnet=1")
	try := func() error {
		return exec.Command("ip", "netns", "exec", stranger, "curl", "-s", "-m", "2", fmt.Sprintf("http://127.0.0.1:%d/healthz", port)).Run()
	}
	if err := try(); err == nil {
		t.Errorf("from the bridge of %s one reaches its loopback", at.Name())
	}
	on("nft", "flush", "chain", "ip", layout.NFTTable, "guard")
	on("nft", "add", "element", "inet", layout.PolicyTable, "known", "{ "+address+" }") // or NetworkPolicies keep the stranger out, who is no pod
	n.eventually("without the guard the packet should arrive, or this test proves nothing", try)
}

// testNodeGoes: nothing of the second node is left, and the first has not noticed.
func (n node) testNodeGoes(t *testing.T) {
	n.t = t
	before := n.containerOf("web")
	n.onenode("--nodes", "1", "up")
	if now := n.containerOf("web"); now != before {
		t.Errorf("the pod of the first node was started anew: %s, was %s", now, before)
	}
	if out := n.kube("get", "nodes", "-o", "name"); out != "node/onenode\n" {
		t.Errorf("nodes: %s", out)
	}
	if out := n.kube("get", "pods", "--all-namespaces", "--field-selector=spec.nodeName=onenode-2", "-o", "name"); out != "" {
		t.Errorf("pods of the node that is gone: %s", out)
	}
	if _, err := os.Stat(second.Home()); !os.IsNotExist(err) {
		t.Errorf("%s: %v", second.Home(), err)
	}
	for what, lines := range lookAtMachine(t) {
		for _, line := range lines {
			if strings.Contains(line, second.Home()) || strings.Contains(line, second.Cable()) || strings.Contains(line, second.Cgroup()) || strings.Contains(line, second.Network()+"-") {
				t.Errorf("a trace in %s: %s", what, line)
			}
		}
	}
	n.eventually("DNS and Services go on", func() error { return n.says("testpod web", "web", "get", "http://web-service/") })
}
