package spawn

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
)

// HasLateHome reports whether a pod has, or will get, the home of the claim with this UID by its driver. As Kubernetes does
// for volumes in use (kubernetes.io/pvc-protection), pods that have ended do not count: they stay for their messages.
func HasLateHome(pod *corev1.Pod, claim types.UID) bool {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	return claim != "" && pod.Annotations[contract.AnnotationHome] == string(claim) && !ended
}

// CanComeLate reports whether a pod that runs can get the home of a claim: it has a volume, which several nodes may have at
// one time.
func CanComeLate(claim *corev1.PersistentVolumeClaim) bool {
	return claim.Status.Phase == corev1.ClaimBound && slices.Contains(claim.Spec.AccessModes, corev1.ReadWriteMany)
}

// HoldPatch is a strategic merge patch that adds the finalizer of late homes to the claim with this UID, and to no later one
// of its name.
func HoldPatch(claim types.UID) []byte {
	return fmt.Appendf(nil, `{"metadata":{"uid":%q,"finalizers":[%q]}}`, claim, contract.FinalizerHome)
}

// ReleasePatch is the patch that takes it away.
func ReleasePatch(claim types.UID) []byte {
	return fmt.Appendf(nil, `{"metadata":{"uid":%q,"$deleteFromPrimitiveList/finalizers":[%q]}}`, claim, contract.FinalizerHome)
}
