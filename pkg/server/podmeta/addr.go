package podmeta

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Addr returns the address at which pod would answer, ready or not: a probe of readiness
// needs it. ErrNotReady says that it has no address yet.
func Addr(pod *corev1.Pod) (netip.AddrPort, error) {
	port, err := readPort(pod)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ip, err := readIP(pod)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ip, port), nil
}
