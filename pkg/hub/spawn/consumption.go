package spawn

import (
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// Container is the name of a server's container in its pod.
const Container = container

// Measured is a pod that a node measures.
type Measured struct {
	Node netip.Addr
	UID  string // the pod's
}

// Consumption is what a server's container takes at a moment; a nil amount is not known.
type Consumption struct {
	// CPU is in thousandths of a core, over the last seconds.
	CPU *int64
	// Memory is in bytes: what Kubernetes calls the working set, and ends a container for.
	Memory *int64
}

// Bounds are the limits of a server's container in the units of Consumption; 0 for none.
type Bounds struct{ CPU, Memory int64 }

// boundsOf returns the limits of a pod's server.
func boundsOf(pod *corev1.Pod) (b Bounds) {
	for _, c := range pod.Spec.Containers {
		if c.Name == container {
			b.CPU, b.Memory = c.Resources.Limits.Cpu().MilliValue(), c.Resources.Limits.Memory().Value()
		}
	}
	return b
}

// nodeOf returns the address of a running pod's node. One that no node of a cluster has would lead
// the spawner to itself.
func nodeOf(pod *corev1.Pod) (netip.Addr, bool) {
	node, err := netip.ParseAddr(pod.Status.HostIP)
	ok := err == nil && !node.IsLoopback() && !node.IsUnspecified() && !node.IsMulticast() && !node.IsLinkLocalUnicast() && node.Zone() == ""
	return node, ok
}

// CoreWords returns thousandths of a core as a number of cores with at most two decimals.
func CoreWords(milli int64) string {
	return strconv.FormatFloat(float64((milli+5)/10)/100, 'f', -1, 64) //nolint:mnd // rounds to hundredths
}

// ByteWords returns a number of bytes in binary units, with one decimal at most.
func ByteWords(n int64) string { return words(n) }
