package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// Name is the provisioner's name in a StorageClass.
const Name = "perijove.dev/onenode"

// Owner of a new folder: the user and group that notebook images run as. A pod with another fsGroup gets the folder's group changed to it by the kubelet.
const Owner = 1000

// Folders provisions volumes as folders below Root. Every node of the machine reaches them.
type Folders struct {
	Root  *os.Root
	Chown func(root *os.Root, name string) error // OwnedByUser; tests without root pass their own
}

var _ controller.Provisioner = Folders{}

// OwnedByUser hands the folder to Owner.
func OwnedByUser(root *os.Root, name string) error { return root.Chown(name, Owner, Owner) }

// Provision makes the folder <Root>/<volume name> with mode 0770 and describes it as a `local` volume: unlike hostPath, the kubelet applies fsGroup to it.
// It can be repeated: a folder that is there already is kept with what is in it.
func (f Folders) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if claim.Spec.Selector != nil {
		return nil, controller.ProvisioningFinished, errors.New("a claim with a selector cannot be provisioned: remove spec.selector")
	}
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, errors.New("only volumeMode Filesystem can be provisioned here")
	}
	if err := f.makeFolder(options.PVName); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("volume %s: %w", options.PVName, err)
	}
	reclaim := corev1.PersistentVolumeReclaimDelete
	if options.StorageClass.ReclaimPolicy != nil {
		reclaim = *options.StorageClass.ReclaimPolicy
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: reclaim,
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				Local: &corev1.LocalVolumeSource{Path: filepath.Join(f.Root.Name(), options.PVName)},
			},
			// Kubernetes wants to know where a local volume is. It is on every node: a home must not keep its user's server on the node that it was first made for.
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpExists}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (f Folders) makeFolder(name string) error {
	if err := f.Root.Mkdir(name, 0o770); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	// Not left to Mkdir: the umask of the user that ran `up` would take the group's rights away.
	if err := f.Root.Chmod(name, 0o770); err != nil {
		return err
	}
	return f.Chown(f.Root, name)
}

// Delete removes the volume's folder. The folder is found by the volume's name and not by the path in its spec: a user with the right to edit volumes
// could point that at anything. os.Root refuses a name that leads out of it.
func (f Folders) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	if volume.Spec.Local == nil {
		return &controller.IgnoredError{Reason: "not a local volume"}
	}
	if err := f.Root.RemoveAll(volume.Name); err != nil {
		return fmt.Errorf("volume %s: %w", volume.Name, err)
	}
	return nil
}
