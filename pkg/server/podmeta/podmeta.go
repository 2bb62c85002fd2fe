package podmeta

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// ErrNotReady means that the pod is a well-formed server that cannot be routed to now, since
// it starts, stops or has finished. It is a state, not a fault.
var ErrNotReady = errors.New("not ready")

// Read returns the server that pod is. ErrNotReady says that there is nothing to route to yet,
// or any more. Any other error is a fault of the pod's metadata or status, with a reason that
// the pod's owner should be told.
func Read(pod *corev1.Pod) (server.Server, error) {
	id, err := ReadID(pod)
	if err != nil {
		return server.Server{}, err
	}
	port, err := readPort(pod)
	if err != nil {
		return server.Server{}, err
	}
	// A host-network pod answers on the node's address: publishing it would put a
	// node's ports (kubelet, SSH) behind a user's path.
	if pod.Spec.HostNetwork {
		return server.Server{}, errors.New("pod uses the host's network")
	}
	strip, err := readStrip(pod)
	if err != nil {
		return server.Server{}, err
	}
	proof, err := ProofName(pod)
	if err != nil {
		return server.Server{}, err
	}
	if !Ready(pod) {
		return server.Server{}, ErrNotReady
	}
	ip, err := readIP(pod)
	if err != nil {
		return server.Server{}, err
	}
	return server.Server{
		ID:          id,
		Namespace:   pod.Namespace,
		Pod:         pod.Name,
		UID:         string(pod.UID),
		Addr:        netip.AddrPortFrom(ip, port),
		Nonce:       pod.Annotations[contract.AnnotationNonce],
		ProofName:   proof,
		StripPrefix: strip,
		Created:     pod.CreationTimestamp.Time,
	}, nil
}

// ReadID returns the owner and name that pod claims. The annotation of a key holds the raw
// name where the label holds only a slug (KubeSpawner 7).
func ReadID(pod *corev1.Pod) (server.ID, error) {
	if _, ok := pod.Labels[contract.LabelUsername]; !ok {
		return server.ID{}, fmt.Errorf("pod has no label %s", contract.LabelUsername)
	}
	id := server.ID{
		User: rawName(pod, contract.LabelUsername),
		Name: rawName(pod, contract.LabelServername),
	}
	if err := id.Valid(); err != nil {
		return server.ID{}, err
	}
	return id, nil
}

func rawName(pod *corev1.Pod, key string) string {
	if raw, ok := pod.Annotations[key]; ok {
		return raw
	}
	return pod.Labels[key]
}

// Ready reports whether the pod may receive requests: it runs, it is not being deleted, and its
// containers and readiness gates are ready. The kubelet computes the condition Ready from the
// same values, but later: not to wait for its next status update makes each start shorter.
func Ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		return false
	}
	if len(pod.Spec.ReadinessGates) == 0 {
		return isTrue(pod, corev1.PodReady)
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if !isTrue(pod, gate.ConditionType) {
			return false
		}
	}
	return isTrue(pod, corev1.ContainersReady)
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func readPort(pod *corev1.Pod) (uint16, error) {
	var all []int32
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == contract.PortName {
				return validPort(int64(p.ContainerPort))
			}
			all = append(all, p.ContainerPort)
		}
	}
	if text, ok := pod.Annotations[contract.AnnotationPort]; ok {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("annotation %s is no port number", contract.AnnotationPort)
		}
		return validPort(n)
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("pod has %d container ports, none named %s; say which with the annotation %s",
			len(all), contract.PortName, contract.AnnotationPort)
	}
	return validPort(int64(all[0]))
}

func validPort(n int64) (uint16, error) {
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("port %d is out of range", n)
	}
	return uint16(n), nil
}

func readStrip(pod *corev1.Pod) (bool, error) { return readBool(pod, contract.AnnotationStripPrefix) }

// ProofName returns the name that the pod must prove (contract.ProofName), "" for a pod that
// promises no proof.
func ProofName(pod *corev1.Pod) (string, error) {
	proves, err := readBool(pod, contract.AnnotationProof)
	if err != nil || !proves {
		return "", err
	}
	return contract.ProofName(string(pod.UID))
}

// readBool reads an annotation; absent means false.
func readBool(pod *corev1.Pod, key string) (bool, error) {
	switch pod.Annotations[key] {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	}
	return false, fmt.Errorf("annotation %s is neither true nor false", key)
}

func readIP(pod *corev1.Pod) (netip.Addr, error) {
	if pod.Status.PodIP == "" {
		return netip.Addr{}, ErrNotReady
	}
	ip, err := netip.ParseAddr(pod.Status.PodIP)
	if err != nil {
		return netip.Addr{}, errors.New("pod IP cannot be parsed")
	}
	ip = ip.Unmap()
	// Only an address that a pod network hands out: through a loopback or link-local address
	// Envoy would lead users to its own admin port or a cloud's metadata service.
	if !ip.IsGlobalUnicast() || ip.Zone() != "" || ip.String() == pod.Status.HostIP {
		return netip.Addr{}, fmt.Errorf("pod IP %s is not a pod's address", ip)
	}
	return ip, nil
}

// Write returns the labels and annotations that make a pod the server id. Read
// gives id back from them, for every valid id.
func Write(id server.ID) (labels, annotations map[string]string) {
	return map[string]string{
			contract.LabelUsername:   server.LabelSlug(id.User),
			contract.LabelServername: labelServer(id.Name),
		}, map[string]string{
			contract.LabelUsername:   id.User,
			contract.LabelServername: id.Name,
		}
}

func labelServer(name string) string {
	if name == "" {
		return ""
	}
	return server.LabelSlug(name)
}
