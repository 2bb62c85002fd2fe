package kube

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
)

// hold keeps a home's claim, and so the files, from being deleted under a pod that gets the home late. Kubernetes protects a
// claim that is among a pod's volumes, and this one is not. The driver mounts no home that is not held. A claim that is
// being deleted cannot be held any more, which is a *spawn.Problem: its server starts cold.
func (c *Cluster) hold(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if slices.Contains(claim.Finalizers, contract.FinalizerHome) && claim.DeletionTimestamp == nil {
		return nil
	}
	if err := c.finalizers(ctx, claim, spawn.HoldPatch(claim.UID)); err != nil {
		return problem("hold home volume", err)
	}
	return nil
}

func (c *Cluster) finalizers(ctx context.Context, claim *corev1.PersistentVolumeClaim, patch []byte) error {
	_, err := c.writes.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	return err
}

// homeHandler lets deleted claims go. The informer repeats it, so a claim goes soon after the last pod with its home.
func (c *Cluster) homeHandler(ctx context.Context) cache.ResourceEventHandler {
	seen := func(o any) {
		claim := o.(*corev1.PersistentVolumeClaim)
		if claim.DeletionTimestamp != nil && slices.Contains(claim.Finalizers, contract.FinalizerHome) {
			go c.letGo(ctx, claim) // informers must not wait
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) }}
}

// letGo ends hold for a claim that is being deleted, if no pod has its home. The API is asked: the cache may not have a
// pod yet that another replica gave the home to. After the deletion began the driver gives the home to no pod more.
func (c *Cluster) letGo(ctx context.Context, claim *corev1.PersistentVolumeClaim) {
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	owner := labels.Set{contract.LabelUsername: claim.Labels[contract.LabelUsername]}.String()
	pods, err := c.writes.CoreV1().Pods(claim.Namespace).List(ctx, metav1.ListOptions{LabelSelector: owner})
	if err == nil {
		if slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return spawn.HasLateHome(&p, claim.UID) }) {
			return
		}
		err = c.finalizers(ctx, claim, spawn.ReleasePatch(claim.UID))
	}
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		c.log.WarnContext(ctx, "a deleted home volume is still held", "claim", claim.Name, "error", err)
	}
}
