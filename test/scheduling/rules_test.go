package scheduling

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rule is one of the paper's that leave out a node. The control is scheduled: it is the same pod on the
// same node without the reason.
type rule struct {
	name, want string
	node       func(*corev1.Node)            // the reason, where it is the node's
	before     func(w *world, node string)   // what is on the node in both cases
	pod        func(*world, *corev1.Pod)     // the reason, where it is the pod's
	control    func(w *world, p *corev1.Pod) // what the control has instead
}

// rules are the ten of the paper, in its order; some have two forms today. docs/scheduling.md has the
// same table for people.
var rules = []rule{
	{name: "NoDiskConflict", want: "node(s) had no available disk",
		before: func(w *world, node string) { w.placed(w.create(w.pod("first", lab(), on(node), mount(disk("one"))))) },
		pod:    func(_ *world, p *corev1.Pod) { mount(disk("one"))(p) }, control: func(_ *world, p *corev1.Pod) { mount(disk("two"))(p) }},
	{name: "NoDiskConflict ReadWriteOncePod", want: "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
		before: func(w *world, node string) {
			w.volume("one", nil)
			w.volume("two", nil)
			w.placed(w.create(w.pod("first", lab(), on(node), w.mountClaim("one"))))
		},
		pod: func(w *world, p *corev1.Pod) { w.mountClaim("one")(p) }, control: func(w *world, p *corev1.Pod) { w.mountClaim("two")(p) }},
	{name: "NoVolumeZoneConflict", want: "node(s) had no available volume zone",
		before: func(w *world, _ string) {
			w.volume("near", zone("z1"))
			w.volume("far", zone("z2"))
		},
		pod: func(w *world, p *corev1.Pod) { w.mountClaim("far")(p) }, control: func(w *world, p *corev1.Pod) { w.mountClaim("near")(p) }},
	{name: "NoVolumeZoneConflict nodeAffinity", want: "node(s) didn't match PersistentVolume's node affinity",
		before: func(w *world, _ string) {
			w.volume("near", only("z1"))
			w.volume("far", only("z2"))
		},
		pod: func(w *world, p *corev1.Pod) { w.mountClaim("far")(p) }, control: func(w *world, p *corev1.Pod) { w.mountClaim("near")(p) }},
	{name: "PodFitsResources cpu", want: "Insufficient cpu",
		pod: func(_ *world, p *corev1.Pod) { request(p, corev1.ResourceCPU, "17") }, control: func(_ *world, p *corev1.Pod) { request(p, corev1.ResourceCPU, "16") }},
	{name: "PodFitsResources memory", want: "Insufficient memory",
		pod: func(_ *world, p *corev1.Pod) { request(p, corev1.ResourceMemory, "9Gi") }, control: func(_ *world, p *corev1.Pod) { request(p, corev1.ResourceMemory, "8Gi") }},
	{name: "PodFitsHostPorts", want: "node(s) didn't have free ports for the requested pod ports",
		before: func(w *world, node string) { w.placed(w.create(w.pod("first", lab(), on(node), hostPort(8888)))) },
		pod:    func(_ *world, p *corev1.Pod) { hostPort(8888)(p) }, control: func(_ *world, p *corev1.Pod) { hostPort(8889)(p) }},
	{name: "HostName", want: "node(s) didn't satisfy plugin(s) [NodeAffinity]",
		pod: func(_ *world, p *corev1.Pod) { named("elsewhere")(p) }, control: func(w *world, p *corev1.Pod) { named(w.label + "-node")(p) }},
	{name: "MatchNodeSelector", want: "node(s) didn't match Pod's node affinity/selector",
		pod:     func(_ *world, p *corev1.Pod) { p.Spec.NodeSelector[corev1.LabelTopologyZone] = "z2" },
		control: func(_ *world, p *corev1.Pod) { p.Spec.NodeSelector[corev1.LabelTopologyZone] = "z1" }},
	volumeCount("MaxEBSVolumeCount", "ebs.csi.aws.com"),
	volumeCount("MaxGCEPDVolumeCount", "pd.csi.storage.gke.io"),
	{name: "CheckNodeMemoryPressure", want: "node(s) had untolerated taint(s)", node: pressure(corev1.NodeMemoryPressure, corev1.TaintNodeMemoryPressure)},
	{name: "CheckNodeDiskPressure", want: "node(s) had untolerated taint(s)", node: pressure(corev1.NodeDiskPressure, corev1.TaintNodeDiskPressure)},
}

// TestRules: for each of the paper's rules, a server is left without a node for that reason and no other,
// in the scheduler's own words; without the reason it has one.
func TestRules(t *testing.T) {
	for _, r := range rules {
		for _, control := range []bool{true, false} {
			t.Run(strings.ReplaceAll(r.name, " ", "-")+map[bool]string{true: "-control"}[control], func(t *testing.T) {
				w := newWorld(t, "spread")
				w.judge(r, control)
			})
		}
	}
}

func (w *world) judge(r rule, control bool) {
	w.t.Helper()
	change := func(n *corev1.Node) {
		n.Labels[corev1.LabelTopologyZone] = "z1"
		if r.node != nil {
			r.node(n)
		}
		if control { // a condition alone keeps nobody away
			n.Spec.Taints = nil
		}
	}
	node := w.node("node", paper(), change)
	if r.before != nil {
		r.before(w, node)
	}
	pod := w.pod("server", lab())
	if control && r.control != nil {
		r.control(w, pod)
	} else if r.pod != nil && !control {
		r.pod(w, pod)
	}
	w.create(pod)
	if control {
		if got := w.placed(pod); got != node {
			w.t.Errorf("the control is on %s", got)
		}
		return
	}
	why := ""
	if !poll(func() bool { why = w.refused(pod); return reasons(why) == "0/1 nodes are available: 1 "+r.want }) {
		w.t.Errorf("the scheduler says\n%s\nand not only %q", why, r.want)
	}
}

// reasons is what the scheduler says of nodes, without its words about pods that could make room.
func reasons(why string) string {
	first, _, _ := strings.Cut(why, " preemption: ")
	first, _, _ = strings.Cut(first, ", no new claims")
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(first), "."), " no new claims to deallocate,")
}

// pressure is a node under pressure: the kubelet sets the condition, and the node controller, which does
// not run here, the taint that the scheduler asks about.
func pressure(kind corev1.NodeConditionType, taint string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: kind, Status: corev1.ConditionTrue})
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: taint, Effect: corev1.TaintEffectNoSchedule})
	}
}

// volumeCount is a node that can attach one volume of a driver and has one.
func volumeCount(name, driver string) rule {
	return rule{name: name, want: "node(s) exceed max volume count",
		before: func(w *world, node string) {
			w.volume("one", of(driver))
			w.volume("two", of(driver))
			w.volume("other", of("other.csi.test"))
			one := &storagev1.CSINode{ObjectMeta: metav1.ObjectMeta{Name: node}, Spec: storagev1.CSINodeSpec{Drivers: []storagev1.CSINodeDriver{
				{Name: driver, NodeID: node, Allocatable: &storagev1.VolumeNodeResources{Count: new(int32(1))}},
			}}}
			if _, err := w.client.StorageV1().CSINodes().Create(w.t.Context(), one, metav1.CreateOptions{}); err != nil {
				w.t.Fatal(err)
			}
			w.undo(func() error { return w.client.StorageV1().CSINodes().Delete(undoing, node, metav1.DeleteOptions{}) })
			w.placed(w.create(w.pod("first", lab(), on(node), w.mountClaim("one"))))
		},
		pod: func(w *world, p *corev1.Pod) { w.mountClaim("two")(p) }, control: func(w *world, p *corev1.Pod) { w.mountClaim("other")(p) }}
}

func request(p *corev1.Pod, name corev1.ResourceName, amount string) {
	p.Spec.Containers[0].Resources.Requests[name] = resource.MustParse(amount)
}

// named lets a pod be on the node of a name. With spec.nodeName no scheduler would be asked.
func named(node string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
				{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
			}}},
		}}}
	}
}

func hostPort(port int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: port, HostPort: port}}
	}
}
