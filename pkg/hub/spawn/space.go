package spawn

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
)

// Mounted is a claim that a node has mounted or, of a home that came late, the volume of a pod: the
// node knows no claim of that.
type Mounted struct {
	Node             netip.Addr
	Namespace, Claim string
	Pod              string // UID; "" where there is a claim
	Volume           string
}

// homeVolume returns where the home of a running pod is; false for a home that is no claim, and
// before a node has it.
func homeVolume(pod *corev1.Pod) (Mounted, bool) {
	node, ok := nodeOf(pod)
	if !ok {
		return Mounted{}, false
	}
	for _, v := range pod.Spec.Volumes {
		switch {
		case v.Name != volumeHome:
		case v.PersistentVolumeClaim != nil:
			return Mounted{Node: node, Namespace: pod.Namespace, Claim: v.PersistentVolumeClaim.ClaimName}, true
		case v.CSI != nil && v.CSI.Driver == contract.DriverHomes && pod.Annotations[contract.AnnotationHome] != "":
			return Mounted{Node: node, Pod: string(pod.UID), Volume: v.Name}, true
		}
	}
	return Mounted{}, false
}

// Space is how much of a volume is free, in bytes. Free is 0 to Total, and Total is more than 0.
type Space struct{ Free, Total int64 }

// Low reports whether the volume is about to be full: less than 5 % or 100 MiB are free.
func (s Space) Low() bool {
	const least = 100 << 20
	return s.Free < least || s.Free < s.Total/20
}

// Used is how much of the volume is not free, in percent.
func (s Space) Used() int { return 100 - int(float64(s.Free)/float64(s.Total)*100) }

// Words returns both amounts in words.
func (s Space) Words() map[string]string {
	return map[string]string{"Free": words(s.Free), "Total": words(s.Total)}
}
