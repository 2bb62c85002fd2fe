package homes

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/test/wait"
)

// A claim that is deleted under a pod stays, with all files, until the pod has ended. Then it goes.
func TestDeletedHomesStayUnderTheirPods(t *testing.T) {
	if testing.Short() {
		t.Skip("a spawner looks twice a minute")
	}
	e := start(t)
	e.ready()
	uid, folder := e.smallHome("held")
	pod := e.ordered("held", "x", uid)
	e.hasHome(pod)
	claims := e.admin.CoreV1().PersistentVolumeClaims(servers)
	e.must(claims.Delete(t.Context(), "home-held", metav1.DeleteOptions{}))
	late := e.ordered("held", "y", uid) // a pod that is claimed for it now gets nothing
	e.refusedHome(late, "is being deleted")
	e.hasHome(pod) // the other one has it still
	if _, err := claims.Get(t.Context(), "home-held", metav1.GetOptions{}); err != nil {
		t.Fatalf("the claim went from under its pod: %v", err)
	}
	e.must(e.end(pod, 1))
	e.gone(pod)
	wait.Within(t, patient, "the claim and its files are gone", func() bool {
		_, err := claims.Get(t.Context(), "home-held", metav1.GetOptions{})
		_, there := os.Stat(folder)
		return apierrors.IsNotFound(err) && errors.Is(there, fs.ErrNotExist)
	})
}

// The node says of a late home what it says of the disk that the home is on.
func TestNodesSayHowFullLateHomesAre(t *testing.T) {
	if testing.Short() {
		t.Skip("a kubelet looks once a minute")
	}
	e := start(t)
	e.ready()
	uid, folder := e.smallHome("full")
	pod := e.ordered("full", "x", uid)
	e.hasHome(pod)
	var disk unix.Statfs_t
	e.must(unix.Statfs(folder, &disk))
	wait.Within(t, patient, "the kubelet knows the size of the home's disk", func() bool {
		return e.capacity(pod) == int64(disk.Blocks)*disk.Bsize
	})
}

// capacity is how large the kubelet says that a pod's home is, 0 before it has looked.
func (e *env) capacity(pod *corev1.Pod) int64 {
	e.t.Helper()
	text, err := e.admin.CoreV1().RESTClient().Get().Resource("nodes").Name(e.node.Name()).SubResource("proxy").Suffix("stats/summary").DoRaw(e.t.Context())
	e.must(err)
	var summary struct {
		Pods []struct {
			PodRef struct{ UID string }
			Volume []struct {
				Name          string
				CapacityBytes int64
			}
		}
	}
	e.must(json.Unmarshal(text, &summary))
	for _, p := range summary.Pods {
		for _, v := range p.Volume {
			if p.PodRef.UID == string(pod.UID) && v.Name == "home" {
				return v.CapacityBytes
			}
		}
	}
	return 0
}

// The negative control of TestLateHomesLoseNothing, and why there is a driver: the same files, mounted over an emptyDir by
// an agent, are lost when the pod is deleted, through the mount. The count sees it.
func TestAnEmptyDirWouldLoseThem(t *testing.T) {
	if testing.Short() {
		t.Skip("it shows no fault of ours")
	}
	e := start(t)
	e.ready()
	home, outside := t.TempDir(), t.TempDir()
	e.must(os.WriteFile(filepath.Join(outside, "precious"), nil, 0o644))
	fill(t, home, outside)
	before, files := digest(t, home)
	pod := e.make("control", "x", func(p *corev1.Pod) {
		p.Spec.Volumes[0].VolumeSource = corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}
	})
	e.runs(pod)
	target := filepath.Join(e.node.KubeletRoot(), "pods", string(pod.UID), "volumes", "kubernetes.io~empty-dir", "home")
	e.must(unix.Mount(home, target, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) }) // the kubelet cannot end the pod before
	e.hasHome(pod)
	e.must(e.end(pod, 1))
	wait.Within(t, patient, "the kubelet has emptied the folder through the mount", func() bool {
		left, err := os.ReadDir(home)
		return err == nil && len(left) == 0
	})
	if after, left := digest(t, home); after == before || files != many {
		t.Errorf("%d of %d files are left, and the count sees nothing", left, files)
	}
	if _, err := os.Stat(filepath.Join(outside, "precious")); err != nil {
		t.Error(err)
	}
	e.must(unix.Unmount(target, unix.MNT_DETACH))
	e.gone(pod)
}
