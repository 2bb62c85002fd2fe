package scheduling

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/chart"
	"github.com/perijove/perijove/test/wait"
)

// world is the nodes of one test and the servers of one release on them. Other tests' nodes have
// another label, and servers ask for this test's.
type world struct {
	t      *testing.T
	client kubernetes.Interface
	chart.Scheduler
	label string
}

const testLabel = "perijove.test/test"

func newWorld(t *testing.T, release string) *world {
	t.Helper()
	client, err := kubernetes.NewForConfig(api.Config())
	if err != nil {
		t.Fatal(err)
	}
	return &world{t, client, schedulers[release], strings.NewReplacer("/", "-", "_", "-").Replace(strings.ToLower(t.Name()))}
}

// paper is the paper's worker: 16 cores and 8 GB.
func paper() corev1.ResourceList { return room("16", "8Gi") }

func room(cpu, memory string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
}

// node makes a ready node, after changes to it. Kubernetes takes a new node for one that is not
// ready; nobody takes that back here, so the test does.
func (w *world) node(name string, has corev1.ResourceList, changes ...func(*corev1.Node)) string {
	w.t.Helper()
	name = w.label + "-" + name
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{testLabel: w.label, corev1.LabelHostname: name}}}
	for _, change := range changes {
		change(node)
	}
	taints, unschedulable := node.Spec.Taints, node.Spec.Unschedulable
	nodes := w.client.CoreV1().Nodes()
	made, err := nodes.Create(w.t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.removeNode(name) })
	made.Status = node.Status
	made.Status.Capacity, made.Status.Allocatable = has, has
	made.Status.Conditions = append(made.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue})
	if made, err = nodes.UpdateStatus(w.t.Context(), made, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	made.Spec.Taints, made.Spec.Unschedulable = taints, unschedulable
	if _, err = nodes.Update(w.t.Context(), made, metav1.UpdateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// removeNode takes a node and what is on it away.
func (w *world) removeNode(name string) {
	ctx, now := context.Background(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	pods, err := w.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	if err != nil {
		w.t.Error(err)
		return
	}
	for _, pod := range pods.Items {
		_ = w.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, now)
	}
	_ = w.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
}

// lab is a profile with a guarantee of one core and half a gigabyte: as many servers as a node of the
// paper has cores fill it.
func lab() spawn.Profile {
	return spawn.Profile{DisplayName: "Lab", Slug: "lab", Override: spawn.Override{
		Image: "example.org/lab:1", StorageType: "none", CPUGuarantee: "1", MemGuarantee: "512M",
	}}
}

// pod is the pod that the spawner makes for a user, on this test's nodes.
func (w *world) pod(user string, p spawn.Profile, changes ...func(*corev1.Pod)) *corev1.Pod {
	site := spawn.Site{Namespace: w.Namespace, JupyterConfigMap: "perijove-jupyter", Scheduling: w.Pods}
	pod := spawn.Pod(site, spawn.Spec{ID: server.ID{User: w.label + "-" + user}, Profile: p, Nonce: "abcdefghijkl"})
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[testLabel] = w.label
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// create makes a pod, and takes it away when the test ends.
func (w *world) create(pod *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	made, err := w.client.CoreV1().Pods(pod.Namespace).Create(w.t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = w.client.CoreV1().Pods(pod.Namespace).Delete(context.Background(), made.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
	return made
}

// placed waits until a pod has a node, and returns the node's name.
func (w *world) placed(pod *corev1.Pod) string {
	w.t.Helper()
	node := ""
	wait.Until(w.t, pod.Name+" has a node", func() bool {
		got, err := w.client.CoreV1().Pods(pod.Namespace).Get(w.t.Context(), pod.Name, metav1.GetOptions{})
		if err == nil {
			node = got.Spec.NodeName
		}
		return node != ""
	})
	return node
}

// refused waits until the scheduler has found no node for a pod, and returns its reason.
func (w *world) refused(pod *corev1.Pod) string {
	w.t.Helper()
	why := ""
	wait.Until(w.t, pod.Name+" has no node", func() bool {
		got, err := w.client.CoreV1().Pods(pod.Namespace).Get(w.t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			return false
		}
		if got.Spec.NodeName != "" {
			w.t.Fatalf("%s has the node %s", pod.Name, got.Spec.NodeName)
		}
		for _, c := range got.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				why = c.Message
			}
		}
		return why != ""
	})
	return why
}
