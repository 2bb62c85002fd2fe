package spawn

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// What is inside the pod; the notebook image and jupyter_server_config.py agree.
const (
	port      = 8888
	container = "notebook"
	homePath  = "/home/jovyan"
	userID    = 1000
	groupID   = 100 // "users", as in Jupyter's docker-stacks
	// configPath is JUPYTER_CONFIG_PATH: read before the user's own files.
	configPath = "/etc/perijove/jupyter"
	secretKey  = "secret"
	nonceInUse = 10 // characters of the nonce in the secret's name
)

// PodName is the fixed name of a server's pod.
func PodName(id server.ID) string { return "jupyter-" + server.Slug(id) }

// hostname is what the prompt of a terminal shows: the pod's name, cut to the length of
// a DNS label.
func hostname(id server.ID) string {
	const longest = 63 // RFC 1123 §2.1
	name := PodName(id)
	return strings.TrimRight(name[:min(longest, len(name))], "-")
}

// ClaimName is the fixed name of a user's home volume.
func ClaimName(user string) string { return "claim-" + server.UserSlug(user) }

// SecretName is the name of one pod's secret; nonce is of lower-case letters and digits.
func SecretName(id server.ID, nonce string) string {
	return PodName(id) + "-" + nonce[:min(nonceInUse, len(nonce))]
}

// Managed reports whether the spawner made the object: no other is ever changed.
func Managed(o metav1.Object) bool {
	return o.GetLabels()[contract.LabelManagedBy] == contract.ManagedBySpawner
}

// OwnsPod reports whether the pod is ours and is the server id; a pod of that name that
// is not belongs to somebody else, and is left alone.
func OwnsPod(pod *corev1.Pod, id server.ID) bool {
	got, err := podmeta.ReadID(pod)
	return Managed(pod) && err == nil && got == id
}

// Identify returns which server a pod is; false for a pod that the spawner did not make,
// whatever its labels say.
func Identify(pod *corev1.Pod) (server.ID, bool) {
	id, err := podmeta.ReadID(pod)
	return id, err == nil && OwnsPod(pod, id) && pod.Name == PodName(id)
}

// OwnsClaim is OwnsPod for a user's home volume.
func OwnsClaim(claim *corev1.PersistentVolumeClaim, user string) bool {
	return Managed(claim) && claim.Annotations[contract.LabelUsername] == user
}

// identify adds the labels and annotations that say whose object this is. It is called
// last, over everything else, so that no other setting can take their place (K4).
func identify(meta *metav1.ObjectMeta, id server.ID) {
	labels, annotations := podmeta.Write(id)
	if meta.Labels == nil {
		meta.Labels = map[string]string{}
	}
	if meta.Annotations == nil {
		meta.Annotations = map[string]string{}
	}
	maps.Copy(meta.Labels, labels)
	maps.Copy(meta.Annotations, annotations)
	meta.Labels[contract.LabelManagedBy] = contract.ManagedBySpawner
}

// Claim returns the home volume of a user.
func Claim(site Site, p Profile, user string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: site.Placement(user, p).Namespace,
			Name:      ClaimName(user),
			Labels:    map[string]string{contract.LabelComponent: "singleuser-storage"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: resource.MustParse(p.Override.storage()),
			}},
		},
	}
	if class := p.Override.StorageClass; class != "" {
		c.Spec.StorageClassName = &class
	}
	identify(&c.ObjectMeta, server.ID{User: user})
	delete(c.Labels, contract.LabelServername)
	delete(c.Annotations, contract.LabelServername)
	return c
}

// Spec is what one pod is made from.
type Spec struct {
	ID      server.ID
	Profile Profile
	Options Options // kept on the pod
	// Nonce is random, of lower-case letters and digits, and different for every pod (see
	// contract.ServerSecret).
	Nonce string
}

// Pod returns the pod of a server.
func Pod(site Site, s Spec) *corev1.Pod {
	id, p := s.ID, s.Profile
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: site.Placement(id.User, p).Namespace,
			Name:      PodName(id),
			Labels: map[string]string{
				contract.LabelComponent:       contract.ComponentServer,
				"app.kubernetes.io/component": contract.ComponentServer,
			},
			Annotations: map[string]string{
				contract.AnnotationNonce:   s.Nonce,
				contract.AnnotationProfile: p.Slug,
			},
		},
		Spec: corev1.PodSpec{
			// Jupyter that ends with code 0 was asked to; anything else is started again.
			RestartPolicy:                 corev1.RestartPolicyOnFailure,
			Hostname:                      hostname(id),
			TerminationGracePeriodSeconds: new(int64(10)),
			// No token of the cluster's API in a pod that runs anybody's code (K6), and no
			// service addresses of its neighbours in its environment.
			AutomountServiceAccountToken: new(false),
			EnableServiceLinks:           new(false),
			ReadinessGates:               []corev1.PodReadinessGate{{ConditionType: contract.ConditionAnswering}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:        new(true),
				RunAsUser:           new(int64(userID)),
				RunAsGroup:          new(int64(groupID)),
				FSGroup:             new(int64(groupID)),
				FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch), // a large home would delay every start
				SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{notebookContainer(site, s)},
			Volumes: []corev1.Volume{
				{Name: "home", VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: ClaimName(id.User)},
				}},
				{Name: "jupyter", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: site.JupyterConfigMap},
					Items: []corev1.KeyToPath{
						{Key: "jupyter_server_config.py", Path: "jupyter_server_config.py"},
						{Key: "default_setting_overrides.json", Path: "labconfig/default_setting_overrides.json"},
					},
				}}},
			},
		},
	}
	s.Options.Keep(pod)
	identify(&pod.ObjectMeta, id)
	return pod
}

func notebookContainer(site Site, s Spec) corev1.Container {
	id, p := s.ID, s.Profile
	c := corev1.Container{
		Name:            container,
		Image:           p.Override.Image,
		ImagePullPolicy: p.Override.pullPolicy(),
		Ports:           []corev1.ContainerPort{{Name: contract.PortName, ContainerPort: port}},
		Resources:       p.Override.resources(),
		WorkingDir:      homePath,
		Env: []corev1.EnvVar{
			{Name: "HOME", Value: homePath},
			{Name: "JUPYTER_CONFIG_PATH", Value: configPath},
			{Name: "PERIJOVE_BASE_URL", Value: literal(id.Prefix())},
			{Name: "PERIJOVE_USER", Value: literal(id.User)},
			{Name: "PERIJOVE_SERVER_SECRET", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: SecretName(id, s.Nonce)}, Key: secretKey,
			}}},
		},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "home", MountPath: homePath},
			{Name: "jupyter", MountPath: configPath, ReadOnly: true},
		},
		// The last lines of a crashed server reach its status this way, so that nobody
		// needs the right to read pods' logs.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
	if site.HubOrigin != "" {
		c.Env = append(c.Env, corev1.EnvVar{Name: "PERIJOVE_HUB_ORIGIN", Value: literal(site.HubOrigin)})
	}
	return c
}

// literal keeps Kubernetes from expanding "$(NAME)" in a person's name.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

// Secret returns the secret of a created pod. Its value follows from the pod's nonce
// and master (contract.ServerSecret); the pod owns it.
func Secret(pod *corev1.Pod, id server.ID, master []byte) *corev1.Secret {
	nonce := pod.Annotations[contract.AnnotationNonce]
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace,
			Name:      SecretName(id, nonce),
			Labels:    map[string]string{contract.LabelManagedBy: contract.ManagedBySpawner},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
			}},
		},
		Immutable: new(true), // the kubelet need not watch it
		Type:      corev1.SecretTypeOpaque,
		StringData: map[string]string{
			secretKey: contract.ServerSecret(master, pod.Namespace, pod.Name, nonce),
		},
	}
}
