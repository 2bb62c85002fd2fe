package rig

import (
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// podNetwork is local to the namespace: the upstream answers on all of its addresses.
const podNetwork = "10.128.0.0/9"

// User is the name of the i-th user, from 0.
func User(i int) string { return fmt.Sprintf("user-%06d", i) }

// PodName is the name of their pod.
func PodName(i int) string { return "jupyter-" + User(i) }

// Path is a request to the i-th user's server.
func Path(i int) string { return contract.PathUser + User(i) + "/api" }

// PodIP is the address of the i-th user's pod: everyone has an own one, as in a cluster.
func PodIP(i int) string {
	first := netip.MustParseAddr("10.128.1.0").As4()
	n := uint32(first[0])<<24 | uint32(first[1])<<16 | uint32(first[2])<<8 + uint32(i)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
}

// Pods returns n running servers.
func Pods(namespace string, n int) []*corev1.Pod {
	all := make([]*corev1.Pod, n)
	for i := range all {
		all[i] = Pod(namespace, i)
	}
	return all
}

// Proven makes pods that prove to Envoy which pod they are, by a certificate.
func Proven(pods []*corev1.Pod) []*corev1.Pod {
	for _, pod := range pods {
		pod.Annotations[contract.AnnotationProof] = "true"
	}
	return pods
}

// Pod is the i-th user's running server.
func Pod(namespace string, i int) *corev1.Pod {
	labels, annotations := podmeta.Write(server.ID{User: User(i)})
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[contract.AnnotationNonce] = fmt.Sprintf("nonce-%022d", i)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: PodName(i), UID: types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)),
			Labels: labels, Annotations: annotations, CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour)),
		},
		Spec: corev1.PodSpec{
			NodeName: "node",
			Containers: []corev1.Container{{
				Name: "notebook", Image: "notebook", Ports: []corev1.ContainerPort{{Name: contract.PortName, ContainerPort: UpstreamPort}},
			}},
		},
		Status: Running(i),
	}
}

// Running is the status that a kubelet reports.
func Running(i int) corev1.PodStatus {
	return corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: PodIP(i), PodIPs: []corev1.PodIP{{IP: PodIP(i)}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
}

func runtimeEncode(codec runtime.Encoder, object runtime.Object) ([]byte, error) {
	data, err := runtime.Encode(codec, object)
	if err != nil {
		return nil, fmt.Errorf("encode a pod: %w", err)
	}
	return data, nil
}
