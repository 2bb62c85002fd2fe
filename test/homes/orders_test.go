package homes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/homes/plan"
	"github.com/perijove/perijove/test/wait"
)

// refusedHome waits until a pod's events give this reason, and shows that the pod sees nothing.
func (e *env) refusedHome(pod *corev1.Pod, why string) {
	e.t.Helper()
	wait.Within(e.t, patient, pod.Name+" is told: "+why, func() bool { return e.told(pod, why) })
	e.says(pod, "ls -A /home/jovyan | wc -l", "0")
	e.must(e.end(pod, 0))
	e.gone(pod)
}

func (e *env) told(pod *corev1.Pod, why string) bool {
	list, err := e.admin.CoreV1().Events(servers).List(e.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(pod.UID)})
	e.must(err)
	for _, event := range list.Items {
		if strings.Contains(event.Message, why) {
			return true
		}
	}
	return false
}

// K1, K4 (late homes): an order that is not the spawner's, comes again, or is for another pod, and a home that is not
// there or leads out: nothing is mounted, the pod's events say why, and the pod can end.
func TestK1_K4_LateHomesBadOrders(t *testing.T) {
	e := start(t)
	e.ready()
	uid, folder := e.smallHome("late")
	e.refuseOthers(uid)
	e.neighbours(uid)

	single, _ := e.home("single", corev1.ReadWriteOnce)
	pod := e.ordered("single", "x", single)
	e.refusedHome(pod, "cannot come late")

	gone, missing := e.home("gone", corev1.ReadWriteMany)
	e.must(os.RemoveAll(missing))
	pod = e.ordered("gone", "x", gone)
	e.refusedHome(pod, "no such file or directory")

	e.must(os.Symlink(folder, missing))
	t.Cleanup(func() { _ = os.Remove(missing) })
	pod = e.ordered("gone", "y", gone)
	e.refusedHome(pod, "too many levels of symbolic links")

	loose, _ := e.home("loose", corev1.ReadWriteMany)
	e.letGo("loose")
	pod = e.ordered("loose", "x", loose)
	e.refusedHome(pod, "is not held")

	if text, err := os.ReadFile(filepath.Join(folder, "0", "0")); err != nil || string(text) != "file 0" {
		t.Errorf("the home behind the link: %q %v", text, err)
	}
}

// refuseOthers: the API takes an order from the spawner only, and once.
func (e *env) refuseOthers(uid types.UID) {
	e.t.Helper()
	pod := e.run("late", "a")
	e.runs(pod)
	if err := claim(e.t.Context(), e.admin, pod, uid); !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "only the spawner writes it") {
		e.t.Errorf("an administrator's order: %v", err)
	}
	own := e.pod("late", "self", func(p *corev1.Pod) { p.Annotations[contract.AnnotationHome] = string(uid) })
	if _, err := e.admin.CoreV1().Pods(servers).Create(e.t.Context(), own, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "only the spawner writes it") {
		e.t.Errorf("a pod that is created with an order: %v", err)
	}
	status := []byte(`{"metadata":{"annotations":{"` + contract.AnnotationHome + `":"` + string(uid) + `"}}}`)
	if _, err := e.admin.CoreV1().Pods(servers).Patch(e.t.Context(), pod.Name, types.MergePatchType, status, metav1.PatchOptions{}, "status"); err == nil || !strings.Contains(err.Error(), "only the spawner writes it") {
		e.t.Errorf("an order by the pod's status: %v", err)
	}
	e.must(claim(e.t.Context(), e.spawner, pod, uid)) // the control
	e.hasHome(pod)
	if err := claim(e.t.Context(), e.spawner, pod, "00000000-0000-0000-0000-000000000000"); err == nil {
		e.t.Error("a second order is taken")
	}
	e.must(claim(e.t.Context(), e.spawner, pod, uid)) // the same order again changes nothing
	e.hasHome(pod)
	second := e.ordered("late", "b", uid) // the same home, mounted in another pod of the owner
	e.hasHome(second)
	e.must(e.end(pod, 0))
	e.gone(pod)
	e.hasHome(second)
	e.must(e.end(second, 1))
	e.gone(second)
}

// neighbours: the owner's order on another user's pod, and a pod that orders by itself.
func (e *env) neighbours(uid types.UID) {
	e.t.Helper()
	pod := e.ordered("thief", "x", uid)
	e.refusedHome(pod, "there is no such claim of the pod's owner")

	pod = e.make("thief", "y", func(p *corev1.Pod) {
		p.Spec.Volumes[0].CSI = &corev1.CSIVolumeSource{Driver: plan.Driver, VolumeAttributes: map[string]string{"folder": "/etc", "home": string(uid)}}
	})
	wait.Within(e.t, patient, "a pod that orders by itself is told", func() bool { return e.told(pod, "a late home has none") })
	e.must(e.end(pod, 0))
	e.gone(pod)
}
