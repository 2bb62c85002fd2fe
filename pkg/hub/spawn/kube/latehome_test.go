package kube

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// withHomes lets servers of the pool have homes that can come late.
func withHomes(p *spawn.Profile) {
	p.Override.StorageType, p.Override.StorageAccessModes = "dynamic", []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}
}

// homed is a replica with a pool of two, and alice's home, which was in use before.
func homed(t *testing.T, change func(*corev1.PersistentVolumeClaim)) (*yard, *Cluster) {
	t.Helper()
	y, s := newYard(t), settings(t)
	s.Policy, s.Site.LateHomes = poolPolicy(t, 2, withHomes), true
	claim := spawn.Claim(s.Site, s.Policy().Profiles[0], alice)
	claim.Status.Phase = corev1.ClaimBound
	change(claim)
	if _, err := y.client.CoreV1().PersistentVolumeClaims(ns).Create(t.Context(), claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c, _ := y.replica(t, s)
	y.fill(t, 2, c)
	wait.Until(t, "the home is known", func() bool { return c.knownHome(ns, alice) != nil || claim.DeletionTimestamp != nil })
	return y, c
}

func asItIs(*corev1.PersistentVolumeClaim) {}

// TestK1_AHomeComesLate: the claim is held before the pod names it, and the process is told to wait for its home.
func TestK1_AHomeComesLate(t *testing.T) {
	t.Parallel()
	y, c := homed(t, asItIs)
	held := false
	y.see(func(a clienttest.Action) clienttest.Action {
		if isClaim(a) {
			o, _ := y.client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), ns, "home-alice")
			held = slices.Contains(o.(*corev1.PersistentVolumeClaim).Finalizers, contract.FinalizerHome)
		}
		return a
	})
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	pod := y.podOf(t, "alice")
	if !spawn.IsClaimed(pod) || pod.Annotations[contract.AnnotationHome] != string(c.knownHome(ns, alice).UID) || !held {
		t.Errorf("the pod %s has the home %q, held before: %v", pod.Name, pod.Annotations[contract.AnnotationHome], held)
	}
	if o := y.of(pod).order; o == nil || o.Late != contract.EmptyHome {
		t.Errorf("the order is %+v", o)
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			t.Errorf("a pod that was nobody's has the claim %s", v.PersistentVolumeClaim.ClaimName)
		}
	}
}

// TestHomesThatCannotComeLate: their servers start cold, and nothing of the pool is used up.
func TestHomesThatCannotComeLate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		user   string
		change func(*corev1.PersistentVolumeClaim)
		fails  bool
	}{
		"a new one":      {user: "bob", change: asItIs},
		"without volume": {user: "alice", change: func(c *corev1.PersistentVolumeClaim) { c.Status.Phase = corev1.ClaimPending }},
		"of one node": {user: "alice", change: func(c *corev1.PersistentVolumeClaim) {
			c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		}},
		"one that ceases": {user: "alice", change: asItIs, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y, cluster := homed(t, c.change)
			if c.fails {
				y.client.PrependReactor("patch", "persistentvolumeclaims", func(clienttest.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim").GroupKind(), "home-alice", nil)
				})
			}
			if err := cluster.Start(t.Context(), ask(server.ID{User: c.user})); err != nil {
				t.Fatal(err)
			}
			if pod := y.podOf(t, c.user); spawn.IsPooled(pod) || pod.Annotations[contract.AnnotationHome] != "" {
				t.Errorf("%s's server is of the pod %s", c.user, pod.Name)
			}
			if idle, _, _ := y.by(cluster); len(idle) != 2 {
				t.Errorf("%v wait", idle)
			}
			if hold := cluster.record(spawn.Subject{Name: c.user}).Holds[""]; hold.Pod != "" {
				wait.Until(t, "the record names no pod", func() bool { return cluster.record(spawn.Subject{Name: c.user}).Holds[""].Pod == "" })
			}
		})
	}
}

// TestPoolWithoutTheDriver: where no home can come late, no pod waits, and an administrator reads why.
func TestPoolWithoutTheDriver(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 2, withHomes)
	told := make(chan string, 10)
	s.Warn = func(_, text string) { told <- text }
	c, _ := y.replica(t, s)
	if text := <-told; !strings.Contains(text, "homes.enabled") || !strings.Contains(text, "lab") {
		t.Errorf("told %q", text)
	}
	c.servePoolsOnce(t.Context())
	if got := pods(t, y.client); len(got) != 0 || len(told) != 0 {
		t.Errorf("%d pods wait, told again %d times", len(got), len(told))
	}
}
