package scheduling

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/test/chart"
	"github.com/perijove/perijove/test/wait"
)

// objectsOf renders the release "placeholders" and returns its objects of a kind.
func objectsOf[T any](t *testing.T, kind string) []T {
	t.Helper()
	out, problem, err := chart.Template(helm, "placeholders", "-f", "testdata/onenode.values.yaml", "--set", releases["placeholders"])
	if err != nil {
		t.Fatal(problem)
	}
	all, err := chart.Decode[T](out, kind)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// withPlaceholders is a node that as many placeholders as the chart makes fill, with the PriorityClasses
// of the chart. Nobody makes pods of a Deployment here, so the test does.
func withPlaceholders(t *testing.T, change func(*corev1.Pod)) (w *world, placeholders []*corev1.Pod) {
	t.Helper()
	w = newWorld(t, "placeholders")
	for _, class := range objectsOf[schedulingv1.PriorityClass](t, "PriorityClass") {
		if _, err := w.client.SchedulingV1().PriorityClasses().Create(t.Context(), &class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.undo(func() error {
			return w.client.SchedulingV1().PriorityClasses().Delete(undoing, class.Name, metav1.DeleteOptions{})
		})
	}
	w.node("full", room("3", "8Gi"))
	for _, d := range objectsOf[appsv1.Deployment](t, "Deployment") {
		if d.Name != "placeholders-user-placeholder" {
			continue
		}
		for n := range int(*d.Spec.Replicas) {
			pod := &corev1.Pod{ObjectMeta: *d.Spec.Template.ObjectMeta.DeepCopy(), Spec: *d.Spec.Template.Spec.DeepCopy()}
			pod.Name, pod.Namespace = fmt.Sprintf("placeholder-%d", n), d.Namespace
			pod.Spec.NodeSelector = map[string]string{testLabel: w.label}
			if change != nil {
				change(pod)
			}
			placeholders = append(placeholders, w.create(pod))
		}
	}
	if len(placeholders) != 3 {
		t.Fatalf("%d placeholders", len(placeholders))
	}
	for _, pod := range placeholders {
		w.placed(pod)
	}
	return w, placeholders
}

// there counts the pods that are still there.
func (w *world) there(pods []*corev1.Pod) (n int) {
	for _, pod := range pods {
		if got, err := w.client.CoreV1().Pods(pod.Namespace).Get(w.t.Context(), pod.Name, metav1.GetOptions{}); err == nil && got.UID == pod.UID && got.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

// TestAServerTakesAPlaceholdersPlace at once, and no more places than it needs.
func TestAServerTakesAPlaceholdersPlace(t *testing.T) {
	w, placeholders := withPlaceholders(t, nil)
	w.placed(w.create(w.pod("server", lab())))
	if n := w.there(placeholders); n != len(placeholders)-1 {
		t.Errorf("of %d placeholders %d are left", len(placeholders), n)
	}
	another := placeholders[0].DeepCopy() // as its Deployment makes it anew
	another.ObjectMeta = metav1.ObjectMeta{Name: "another", Namespace: w.Namespace, Labels: another.Labels}
	another.Spec.NodeName = ""
	w.create(another)
	if why := w.refused(another); reasons(why) != "0/1 nodes are available: 1 Insufficient cpu" {
		t.Errorf("the next placeholder: %s", why)
	}
	if n := w.there(placeholders); n != len(placeholders)-1 {
		t.Error("a placeholder took another one's place")
	}
}

// TestWithoutPriorityAServerWaits is the negative control: behind pods of its own priority.
func TestWithoutPriorityAServerWaits(t *testing.T) {
	w, placeholders := withPlaceholders(t, func(p *corev1.Pod) { p.Spec.PriorityClassName = "placeholders-server" })
	server := w.create(w.pod("server", lab()))
	if why := w.refused(server); reasons(why) != "0/1 nodes are available: 1 Insufficient cpu" {
		t.Error(why)
	}
	if n := w.there(placeholders); n != len(placeholders) {
		t.Errorf("of %d placeholders %d are left", len(placeholders), n)
	}
}

// TestPlaceholdersUseNoQuota: with a quota for one pod in the namespace of servers, three placeholders and
// one server are there, and a second server is refused.
func TestPlaceholdersUseNoQuota(t *testing.T) {
	w, _ := withPlaceholders(t, nil)
	quotas := w.client.CoreV1().ResourceQuotas(w.Namespace)
	for _, q := range objectsOf[corev1.ResourceQuota](t, "ResourceQuota") {
		made, err := quotas.Create(t.Context(), &q, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.undo(func() error { return quotas.Delete(undoing, q.Name, metav1.DeleteOptions{}) })
		// The quota controller, which does not run here, would begin to count.
		made.Status.Hard, made.Status.Used = made.Spec.Hard, corev1.ResourceList{}
		for name := range made.Spec.Hard {
			made.Status.Used[name] = resource.MustParse("0")
		}
		if _, err := quotas.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	dry := func(pod *corev1.Pod) error {
		_, err := w.client.CoreV1().Pods(w.Namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	for _, d := range objectsOf[appsv1.Deployment](t, "Deployment") {
		if d.Name == "placeholders-user-placeholder" {
			for n := range 3 {
				pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
				pod.Name, pod.Namespace = fmt.Sprintf("more-%d", n), w.Namespace
				w.create(pod)
			}
		}
	}
	limited := lab() // the quota is of limits too
	limited.Override.CPULimit = "2"
	wait.Until(t, "a server is admitted", func() bool { return dry(w.pod("one", limited)) == nil })
	w.create(w.pod("one", limited))
	wait.Until(t, "a second server is refused", func() bool { return apierrors.IsForbidden(dry(w.pod("two", limited))) })
}
