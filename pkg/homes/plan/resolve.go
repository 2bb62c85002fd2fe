package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Export is a folder with homes that the driver's pod has mounted: a folder of the machine, or a server's.
type Export struct {
	Name   string `yaml:"name"`   // of the folder in the driver's own file system
	Server string `yaml:"server"` // NFS; empty: a folder of every node
	Path   string `yaml:"path"`
}

// Place is a folder below an export.
type Place struct {
	Export string
	Folder string // relative and clean
}

// ErrCold says that a home cannot come late, by its kind. Its server has to be started with it.
var ErrCold = errors.New("this home cannot come late")

// Claimed returns the UID of the claim that a pod was given, "" for none.
func Claimed(pod *corev1.Pod) string { return pod.Annotations[contract.AnnotationHome] }

// Volumes returns the names of a pod's late homes.
func Volumes(pod *corev1.Pod) (names []string) {
	for _, v := range pod.Spec.Volumes {
		if v.CSI != nil && v.CSI.Driver == Driver {
			names = append(names, v.Name)
		}
	}
	return names
}

// Mine returns the claim that the pod was given, of the claims of its namespace. It must be a home of the pod's owner:
// an order that was copied onto a neighbour's pod opens nothing.
func Mine(pod *corev1.Pod, claims []corev1.PersistentVolumeClaim) (*corev1.PersistentVolumeClaim, error) {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded {
		return nil, errors.New("the pod has ended")
	}
	owner, err := podmeta.ReadID(pod)
	if err != nil {
		return nil, fmt.Errorf("whose pod it is: %w", err)
	}
	if pod.Labels[contract.LabelManagedBy] != contract.ManagedBySpawner {
		return nil, errors.New("the spawner did not make the pod")
	}
	i := slices.IndexFunc(claims, func(c corev1.PersistentVolumeClaim) bool {
		return c.Namespace == pod.Namespace && string(c.UID) == Claimed(pod)
	})
	if i < 0 {
		return nil, errors.New("there is no such claim of the pod's owner")
	}
	claim := &claims[i]
	user, of := claim.Annotations[contract.LabelUsername], claim.Annotations[contract.LabelServername]
	switch {
	case claim.Labels[contract.LabelManagedBy] != contract.ManagedBySpawner:
		return nil, fmt.Errorf("claim %s is no home", claim.Name)
	case user == "" || user != owner.User || of != "" && of != owner.Name:
		return nil, fmt.Errorf("claim %s is another owner's home", claim.Name)
	case claim.DeletionTimestamp != nil:
		return nil, fmt.Errorf("claim %s is being deleted", claim.Name)
	case !slices.Contains(claim.Finalizers, contract.FinalizerHome):
		// Without it the claim, and all files, could be deleted under the pod.
		return nil, fmt.Errorf("claim %s is not held by the finalizer %s", claim.Name, contract.FinalizerHome)
	case claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName == "":
		return nil, fmt.Errorf("claim %s has no volume", claim.Name)
	case !shared(claim.Spec.AccessModes) || claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != corev1.PersistentVolumeFilesystem:
		return nil, fmt.Errorf("claim %s: %w: it is not for several nodes at one time (ReadWriteMany)", claim.Name, ErrCold)
	}
	return claim, nil
}

func shared(modes []corev1.PersistentVolumeAccessMode) bool {
	return slices.Contains(modes, corev1.ReadWriteMany)
}

// Locate returns where the volume of a claim is. Claim and volume must name each other: otherwise the volume is
// another claim's, or was.
func Locate(claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume, exports []Export) (Place, error) {
	ref := volume.Spec.ClaimRef
	if volume.Name != claim.Spec.VolumeName || ref == nil || ref.UID != claim.UID || ref.Namespace != claim.Namespace || ref.Name != claim.Name {
		return Place{}, fmt.Errorf("volume %s is not that of claim %s", volume.Name, claim.Name)
	}
	if !shared(volume.Spec.AccessModes) {
		return Place{}, fmt.Errorf("volume %s: %w: it is not for several nodes at one time (ReadWriteMany)", volume.Name, ErrCold)
	}
	server, folder, ok := source(volume)
	if !ok {
		return Place{}, fmt.Errorf("volume %s: %w: the driver knows folders and NFS only", volume.Name, ErrCold)
	}
	for _, e := range exports {
		below, ok := strings.CutPrefix(folder, strings.TrimSuffix(e.Path, "/")+"/")
		if ok && e.Server == server && below != "" && path.Clean("/"+below) == "/"+below {
			return Place{Export: e.Name, Folder: below}, nil
		}
	}
	return Place{}, fmt.Errorf("volume %s: %w: it is in none of the driver's exports", volume.Name, ErrCold)
}

// nfsDriver is the name of csi-driver-nfs; its README lists the attributes of its volumes.
const nfsDriver = "nfs.csi.k8s.io"

// source returns the server, "" for the node itself, and the folder of a volume.
func source(v *corev1.PersistentVolume) (server, folder string, ok bool) {
	switch s := v.Spec.PersistentVolumeSource; {
	case s.Local != nil:
		return "", s.Local.Path, true
	case s.HostPath != nil:
		return "", s.HostPath.Path, true
	case s.NFS != nil && !s.NFS.ReadOnly:
		return s.NFS.Server, s.NFS.Path, s.NFS.Server != ""
	case s.CSI != nil && s.CSI.Driver == nfsDriver && !s.CSI.ReadOnly:
		a := s.CSI.VolumeAttributes
		folder = strings.TrimSuffix(a["share"], "/")
		if a["subdir"] != "" {
			folder += "/" + a["subdir"]
		}
		return a["server"], folder, a["server"] != ""
	}
	return "", "", false
}
