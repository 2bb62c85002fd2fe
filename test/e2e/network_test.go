package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// place is a place in the network that a pod must not reach.
type place struct {
	what, address string
}

// metadata is where clouds hand out a node's credentials.
const metadata = "169.254.169.254:80"

// everyPort lists every TCP port of every pod, of the API server and of the kubelets, except those that keep says.
func everyPort(t *testing.T, keep func(pod corev1.Pod, port corev1.ContainerPort) bool) []place {
	t.Helper()
	client := cluster(t)
	pods, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	var places []place
	for _, pod := range pods.Items {
		for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) { // sidecars are among the first
			for _, port := range container.Ports {
				if port.Protocol == corev1.ProtocolTCP && keep(pod, port) {
					places = append(places, place{pod.Namespace + "/" + pod.Name + " " + port.Name, fmt.Sprintf("%s:%d", pod.Status.PodIP, port.ContainerPort)})
				}
			}
		}
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP {
				places = append(places, place{"the kubelet of " + node.Name, net.JoinHostPort(address.Address, "10250")})
			}
		}
	}
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return append(places, place{"the API server", net.JoinHostPort(service.Spec.ClusterIP, "443")}, place{"the cloud's metadata service", metadata})
}

// serveMetadata puts a metadata service on this machine, if it is the cluster's node: without one the attack would fail for another reason.
func serveMetadata(t *testing.T) (served bool) {
	t.Helper()
	if os.Geteuid() != 0 || podCIDRReachable(t) == "" {
		return false
	}
	if out, err := exec.Command("ip", "address", "add", "169.254.169.254/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Logf("no metadata service: %v %s", err, out)
		return false
	}
	t.Cleanup(func() { _ = exec.Command("ip", "address", "delete", "169.254.169.254/32", "dev", "lo").Run() })
	listener, err := net.Listen("tcp", metadata)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return true
}

// reached tries the places from inside a pod, all at once, and returns those that accept a connection.
func reached(t *testing.T, pod string, places []place) []place {
	t.Helper()
	addresses := make([]string, len(places))
	for i, place := range places {
		addresses[i] = place.address
	}
	list, err := json.Marshal(addresses)
	if err != nil {
		t.Fatal(err)
	}
	const program = `
import concurrent.futures, json, socket, sys
def reach(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), 2).close()
        return address
    except OSError:
        return None
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps([a for a in pool.map(reach, json.loads(sys.argv[1])) if a]))
`
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, kubectl.Path(), "--namespace", servers, "exec", pod, "--", "python3", "-c", program, string(list)).Output()
	if err != nil {
		t.Fatalf("in pod %s: %v", pod, err)
	}
	var open []string
	if err := json.Unmarshal(out, &open); err != nil {
		t.Fatalf("in pod %s: %v: %s", pod, err, out)
	}
	var found []place
	for _, place := range places {
		if slices.Contains(open, place.address) {
			found = append(found, place)
		}
	}
	return found
}

// openAll lets everything in and out until the test ends, wherever there are policies: they add up. The policies of the chart stay as they are: an installation
// that changes its own objects would find somebody else's hand on them.
func openAll(t *testing.T) {
	t.Helper()
	client := cluster(t).NetworkingV1()
	all, err := client.NetworkPolicies("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	open := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		Ingress:     []networkingv1.NetworkPolicyIngressRule{{}}, Egress: []networkingv1.NetworkPolicyEgressRule{{}},
	}}
	open.Name = "e2e-open"
	opened := map[string]bool{}
	for _, policy := range all.Items {
		space := policy.Namespace
		if opened[space] {
			continue
		}
		opened[space] = true
		if _, err := client.NetworkPolicies(space).Create(t.Context(), open.DeepCopy(), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := client.NetworkPolicies(space).Delete(context.Background(), open.Name, metav1.DeleteOptions{}); err != nil {
				t.Errorf("namespace %s stays open: %v", space, err)
			}
		})
	}
	if len(opened) < 2 {
		t.Fatalf("there are policies in %v only", opened)
	}
}

// TestK5_TheNetworkFromInsideAServer: a user's server reaches no other server, no port of the platform's, not the API server, no kubelet, not the cloud's
// metadata service; but DNS. Once a policy opens everything it reaches all of them, so that it is the policies that keep it.
func TestK5_TheNetworkFromInsideAServer(t *testing.T) {
	ensureServer(t, login(t, "alice"))
	ensureServer(t, login(t, "bob"))
	mallory := spawn.PodName(server.ID{User: "bob"})
	metadataServed := serveMetadata(t)
	places := everyPort(t, func(pod corev1.Pod, port corev1.ContainerPort) bool {
		isDNS := pod.Namespace == metav1.NamespaceSystem && port.ContainerPort == 53
		return pod.Name != mallory && !isDNS // a pod may always reach itself
	})
	places = append(places, place{"alice's server", podIP(t, spawn.PodName(server.ID{User: "alice"})) + ":8888"})
	if found := reached(t, mallory, places); len(found) > 0 {
		t.Errorf("bob's server reaches %v", found)
	}
	if out := mustPython(t, "bob", `import socket; print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))`); net.ParseIP(out) == nil {
		t.Errorf("DNS says %q", out)
	}

	openAll(t)
	places = slices.DeleteFunc(places, func(place place) bool { return place.address == metadata && !metadataServed })
	var found []place
	if !wait.Poll(30*time.Second, func() bool { found = reached(t, mallory, places); return len(found) == len(places) }) {
		t.Errorf("with everything open bob's server reaches only %v of %v: the test shows nothing about the others", found, places)
	}
	t.Logf("%d places, each reached once a policy opens everything, and none before", len(places))
}

// TestK5_TheNetworkFromAnotherPod: a pod that is no server reaches the gateway's public port and the development provider, and none of the ports that the
// platform's parts have for each other.
func TestK5_TheNetworkFromAnotherPod(t *testing.T) {
	webPod(t, "e2e-neighbour")
	ensureServer(t, login(t, "alice"))
	public := func(pod corev1.Pod, port corev1.ContainerPort) bool {
		return strings.HasSuffix(pod.Labels["app.kubernetes.io/component"], "gateway") && port.HostPort != 0
	}
	ours := func(pod corev1.Pod) bool {
		return pod.Namespace == namespace || pod.Labels[contract.LabelUsername] != ""
	}
	inner := everyPort(t, func(pod corev1.Pod, port corev1.ContainerPort) bool { return ours(pod) && !public(pod, port) })
	inner = slices.DeleteFunc(inner, func(place place) bool { return strings.HasPrefix(place.what, "the ") }) // the policies are about our pods
	outer := everyPort(t, public)
	outer = slices.DeleteFunc(outer, func(place place) bool { return strings.HasPrefix(place.what, "the ") })
	inner = slices.DeleteFunc(inner, func(in place) bool { // one port can have two names, for Envoy and for a sidecar
		return slices.ContainsFunc(outer, func(out place) bool { return out.address == in.address })
	})
	if len(inner) < 8 || len(outer) < 1 {
		t.Fatalf("inner ports %v, outer ports %v", inner, outer)
	}
	if found := reached(t, "e2e-neighbour", inner); len(found) > 0 {
		t.Errorf("a neighbour reaches %v", found)
	}
	if found := reached(t, "e2e-neighbour", outer); len(found) != len(outer) {
		t.Errorf("a neighbour reaches %v of the gateway's public ports %v", found, outer)
	}
	openAll(t)
	var found []place
	if !wait.Poll(30*time.Second, func() bool { found = reached(t, "e2e-neighbour", inner); return len(found) == len(inner) }) {
		t.Errorf("with everything open it reaches only %v of %v: the test shows nothing about the others", found, inner)
	}
}

func podIP(t *testing.T, name string) string {
	t.Helper()
	pod, err := cluster(t).CoreV1().Pods(servers).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod.Status.PodIP
}
