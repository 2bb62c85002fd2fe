package spawn

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
)

// Keys is what the secrets of pods are made from. All of it must be set.
type Keys struct {
	// Server is the installation's server key, at least 32 bytes (contract.ServerSecret).
	Server []byte
	// CA issues the certificates of the pods that promise a proof.
	CA *proof.CA
	// Clients is the certificate (PEM) of the CA of services. A pod that promises a proof
	// answers only a client that shows a certificate of it: Envoy, or the spawner's probe.
	Clients []byte
}

// Keys of a pod's secret.
const (
	secretKey      = "secret"
	secretOrder    = "order" // of a pod that waits in a pool: contract.OrderKey
	secretCert     = "tls.crt"
	secretCertKey  = "tls.key"
	secretClientCA = "ca.crt"
)

// promiseProof makes the pod serve TLS with the certificate in its secret, and says so to
// Envoy and to the spawner's probe.
func promiseProof(pod *corev1.Pod, secret string) {
	pod.Annotations[contract.AnnotationProof] = "true"
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: volumeProof, VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{
			SecretName:  secret,
			DefaultMode: new(int32(0o440)), // for the pod's group
			Items: []corev1.KeyToPath{
				{Key: secretCert, Path: secretCert}, {Key: secretCertKey, Path: secretCertKey}, {Key: secretClientCA, Path: secretClientCA},
			},
		},
	}})
	c := &pod.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volumeProof, MountPath: proofPath, ReadOnly: true})
	c.Env = append(c.Env, corev1.EnvVar{Name: envProof, Value: proofPath})
}

// Secret returns the secret of a created pod, which owns it. Its value follows from the pod's
// nonce and the server key (contract.ServerSecret). A pod that promises a proof gets a new
// certificate for its UID; another secret of the same pod has another one, as good.
func (k Keys) Secret(pod *corev1.Pod) (*corev1.Secret, error) {
	nonce := pod.Annotations[contract.AnnotationNonce]
	data := map[string]string{}
	if IsPooled(pod) { // the server's own comes with the order
		nonce = pod.Annotations[contract.AnnotationOrderNonce]
		data[secretOrder] = k.OrderKey(pod)
	} else {
		data[secretKey] = contract.ServerSecret(k.Server, pod.Namespace, pod.Name, nonce)
	}
	if pod.Annotations[contract.AnnotationProof] == "true" {
		pair, err := k.CA.Issue(string(pod.UID))
		if err != nil {
			return nil, err
		}
		data[secretCert], data[secretCertKey], data[secretClientCA] = string(pair.Certificate), string(pair.Key), string(k.Clients)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace,
			Name:      secretName(pod.Name, nonce),
			Labels:    map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
			}},
		},
		Immutable:  new(true), // the kubelet need not watch it
		Type:       corev1.SecretTypeOpaque,
		StringData: data,
	}, nil
}
