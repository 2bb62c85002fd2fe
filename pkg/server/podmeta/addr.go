package podmeta

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Addr returns where pod would answer, ready or not: for those who find out whether it
// does. ErrNotReady says that it has no address yet.
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
