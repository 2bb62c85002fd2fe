package policy

import (
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Pod is what the rules need to know of a pod with an address of its own.
type Pod struct {
	Namespace, Name, UID string
	Labels               map[string]string
	Address              netip.Addr // not valid: the pod has none yet
	Local                bool       // it runs on the node that the rules are for
	Created              time.Time
	Ports                []Port
}

// Port is a port of a container that has a name.
type Port struct {
	Name, Protocol string // http, tcp
	Number         uint16
}

// FromPod reads a pod for the rules of the given node. ok is false if the pod has ended, or has the node's network: NetworkPolicies do not select such
// pods, and what they send is the node's.
func FromPod(pod *corev1.Pod, node string) (p Pod, ok bool) {
	if pod.Spec.HostNetwork || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return Pod{}, false
	}
	p = Pod{
		Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), Labels: pod.Labels, Local: pod.Spec.NodeName == node, Created: pod.CreationTimestamp.Time,
	}
	for _, status := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(status.IP); err == nil && address.Is4() {
			p.Address = address
		}
	}
	for _, container := range pod.Spec.InitContainers {
		if container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways { // a sidecar, which goes on beside the others
			p.addPorts(container)
		}
	}
	for _, container := range pod.Spec.Containers {
		p.addPorts(container)
	}
	return p, true
}

func (p *Pod) addPorts(container corev1.Container) {
	for _, port := range container.Ports {
		protocol, known := protocolOf(&port.Protocol)
		if port.Name != "" && known && port.ContainerPort > 0 && port.ContainerPort <= maxPort {
			p.Ports = append(p.Ports, Port{Name: port.Name, Protocol: protocol, Number: uint16(port.ContainerPort)})
		}
	}
}

// protocolOf gives nft's name of a protocol. Kubernetes takes TCP where none is given.
func protocolOf(protocol *corev1.Protocol) (name string, known bool) {
	if protocol == nil {
		return "tcp", true
	}
	switch *protocol {
	case "", corev1.ProtocolTCP:
		return "tcp", true
	case corev1.ProtocolUDP:
		return "udp", true
	case corev1.ProtocolSCTP:
		return "sctp", true
	}
	return "", false
}
