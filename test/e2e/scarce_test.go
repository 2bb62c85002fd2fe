package e2e

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// waitsFor waits until p's progress page says all sentences, each in its language.
func (p *person) waitsFor(sentences map[string]string) {
	p.t.Helper()
	for language, want := range sentences {
		wait.Within(p.t, told, p.name+"'s page says "+want, func() bool {
			req, err := http.NewRequestWithContext(p.t.Context(), "GET", baseURL()+contract.PathSpawnPending+"/"+p.name, nil)
			if err != nil {
				p.t.Fatal(err)
			}
			req.Header.Set("Accept", "text/html")
			req.Header.Set("Accept-Language", language)
			resp, err := p.http.Do(req)
			if err != nil {
				p.t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			return err == nil && strings.Contains(string(body), want)
		})
	}
}

// devices are those that p's server was given.
func (p *person) devices() string {
	p.t.Helper()
	return strings.TrimSpace(inside(p.t, servers, "exec", spawn.PodName(server.ID{User: p.name}), "--", "printenv", "NVIDIA_VISIBLE_DEVICES"))
}

// oneNode is the only node of the cluster, or the test is skipped.
func oneNode(t *testing.T) *corev1.Node {
	t.Helper()
	nodes, err := cluster(t).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != 1 {
		t.Skipf("the cluster has %d nodes: what is free on which cannot be told", len(nodes.Items))
	}
	return &nodes.Items[0]
}

// taint keeps pods that do not tolerate GPUs from the node, as real ones often do.
func taint(t *testing.T, name, key string) {
	t.Helper()
	nodes := cluster(t).CoreV1().Nodes()
	change := func(ctx context.Context, taints []corev1.Taint) {
		node, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		node.Spec.Taints = taints
		if _, err := nodes.Update(ctx, node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	before := oneNode(t).Spec.Taints
	t.Cleanup(func() { change(context.Background(), before) })
	change(t.Context(), append(before, corev1.Taint{Key: key, Value: "true", Effect: corev1.TaintEffectNoSchedule}))
}

// TestGPUs: servers get the devices that their profile asks for. When all are taken, the next server
// waits, says so, and starts when one is given back. So do parts of GPUs.
func TestGPUs(t *testing.T) {
	node := oneNode(t)
	if q := node.Status.Allocatable["nvidia.com/gpu"]; q.Value() != 2 {
		t.Skipf("the node has %s GPUs, this test counts on two", q.String())
	}
	alice, bob, carol := login(t, "alice"), login(t, "bob"), login(t, "carol")
	for _, p := range []*person{alice, bob, carol} {
		p.stop()
		defer p.stop()
	}
	entry := "  - display_name: %[1]s\n    slug: %[1]s\n    kubespawner_override:\n      extra_resource_limits: { %[2]s: 1 }\n" +
		"      node_selector: { kubernetes.io/hostname: %[3]s }\n      tolerations: [{ key: nvidia.com/gpu, operator: Exists, effect: NoSchedule }]\n"
	moreProfiles(t, alice, "e2e-gpu", fmt.Sprintf(entry, "e2e-gpu", "nvidia.com/gpu", node.Labels["kubernetes.io/hostname"])+
		fmt.Sprintf(entry, "e2e-mig", "nvidia.com/mig-1g.5gb", node.Labels["kubernetes.io/hostname"])+
		fmt.Sprintf(entry, "e2e-elsewhere", "nvidia.com/gpu", "elsewhere"))
	taint(t, node.Name, "nvidia.com/gpu")

	bob.choose("e2e-elsewhere")
	bob.waitsFor(map[string]string{"en": "No machine of the cluster is made for this choice", "zh-CN": "集群中没有适合该选择的机器"})
	bob.stop()

	alice.choose("e2e-gpu")
	bob.choose("e2e-gpu")
	alice.follow()
	bob.follow()
	first, second := alice.devices(), bob.devices()
	if first == second || !strings.HasPrefix(first, "gpu-") || !strings.HasPrefix(second, "gpu-") {
		t.Errorf("alice has %q and bob %q", first, second)
	}
	carol.choose("e2e-gpu")
	carol.waitsFor(map[string]string{"en": "No GPU is free: this server needs 1 (nvidia.com/gpu)", "zh-CN": "没有空闲的 GPU：该服务器需要 1 个（nvidia.com/gpu）"})
	b := newBrowser(t)
	b.login("carol", contract.PathSpawnPending+"/carol")
	b.until(10*time.Second, `document.querySelector("#now").textContent.includes("No GPU is free")`)
	b.shot("pending-no-gpu")

	alice.stop()
	carol.follow()
	if got := carol.devices(); got != first {
		t.Errorf("carol has %q, want alice's %q", got, first)
	}
	alice.choose("e2e-mig")
	alice.follow()
	if got := alice.devices(); !strings.HasPrefix(got, "mig-1g.5gb-") {
		t.Errorf("alice has %q, want a part of a GPU", got)
	}
}

// TestFullNode: what a profile guarantees is kept for its servers. When the node is full, the next
// server waits, says what is short, and starts when the first one stops.
func TestFullNode(t *testing.T) {
	node := oneNode(t)
	alice, bob := login(t, "alice"), login(t, "bob")
	for _, p := range []*person{alice, bob} {
		p.stop()
		defer p.stop()
	}
	cores := strconv.FormatFloat(math.Ceil(0.6*freeCores(t, node)*100)/100, 'f', -1, 64) // once, not twice
	moreProfiles(t, alice, "e2e-cores", "  - display_name: E2E cores\n    slug: e2e-cores\n    kubespawner_override: { cpu_guarantee: "+cores+", cpu_limit: 4 }\n")
	alice.choose("e2e-cores")
	alice.follow()
	bob.choose("e2e-cores")
	bob.waitsFor(map[string]string{
		"en":    "Not enough processor cores are free: " + cores + " are kept for this server",
		"zh-CN": "空闲的处理器核数不足：该服务器需预留 " + cores + " 核",
	})
	alice.stop()
	bob.follow()
}

// freeCores is how many cores of a node no pod has asked for.
func freeCores(t *testing.T, node *corev1.Node) float64 {
	t.Helper()
	pods, err := cluster(t).CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		t.Fatal(err)
	}
	free := node.Status.Allocatable.Cpu().MilliValue()
	for _, pod := range pods.Items {
		for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) { // more than there can be at a time
			free -= c.Resources.Requests.Cpu().MilliValue()
		}
	}
	if free < 100 {
		t.Fatalf("only %dm of a core are free on the node", free)
	}
	return float64(free) / 1000
}
