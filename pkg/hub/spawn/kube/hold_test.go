package kube

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

const protection = "kubernetes.io/pvc-protection" // Kubernetes' own

// lateHome is alice's home, and a pod that has it late.
func lateHome(t *testing.T) (*corev1.PersistentVolumeClaim, *corev1.Pod) {
	t.Helper()
	claim := bound(t, "1Gi")
	claim.UID, claim.Finalizers = "claim-uid", []string{protection}
	return claim, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: ns, Name: "pool-a", UID: "pod-uid",
		Labels:      map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelUsername: claim.Labels[contract.LabelUsername]},
		Annotations: map[string]string{contract.AnnotationHome: "claim-uid"},
	}}
}

// A home is held once, beside Kubernetes' own protection, and only the claim that was meant.
func TestHomesAreHeld(t *testing.T) {
	t.Parallel()
	claim, _ := lateHome(t)
	client := newClient(claim)
	c, _ := boot(t, client, settings(t))
	for range 2 {
		if err := c.hold(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
	}
	have, err := client.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), claim.Name, metav1.GetOptions{})
	slices.Sort(have.Finalizers)
	if err != nil || !slices.Equal(have.Finalizers, []string{protection, contract.FinalizerHome}) {
		t.Fatalf("%v %v", have.Finalizers, err)
	}
	gone, _ := lateHome(t)
	gone.Name = "home-gone"
	if err := c.hold(t.Context(), gone); err == nil {
		t.Error("a claim that is gone is held")
	}
}

// A deleted home stays while a pod has it, also one that this replica's cache does not know, and goes after the pod.
func TestDeletedHomesStayUnderTheirPods(t *testing.T) {
	t.Parallel()
	claim, pod := lateHome(t)
	claim.DeletionTimestamp, claim.Finalizers = &metav1.Time{Time: time.Now()}, []string{contract.FinalizerHome}
	client := newClient(claim, pod)
	c, _ := boot(t, client, settings(t))
	c.letGo(t.Context(), claim)
	held := func() bool {
		have, err := client.CoreV1().PersistentVolumeClaims(ns).Get(t.Context(), claim.Name, metav1.GetOptions{})
		return err == nil && slices.Contains(have.Finalizers, contract.FinalizerHome)
	}
	if !held() {
		t.Fatal("the home is deleted under its pod")
	}
	client.PrependReactor("list", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewServiceUnavailable("away")
	})
	c.letGo(t.Context(), claim)
	client.ReactionChain = client.ReactionChain[1:]
	if !held() {
		t.Fatal("the home is deleted although nobody knows its pods")
	}
	if err := client.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	boot(t, client, settings(t)) // a replica that starts now sees the claim and lets it go
	wait.Until(t, "the home is let go", func() bool { return !held() })
}
