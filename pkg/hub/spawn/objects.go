package spawn

import (
	"cmp"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
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
	// proofPath is where the pod finds its certificate, its key, and the CA of those it answers.
	proofPath = "/etc/perijove/proof"

	volumeHome    = "home"
	volumeJupyter = "jupyter"
	volumeProof   = "proof"

	envPrefix     = "PERIJOVE_"
	envHome       = "HOME"
	envConfigPath = "JUPYTER_CONFIG_PATH"
	envUser       = "PERIJOVE_USER"
	envSecret     = "PERIJOVE_SERVER_SECRET"
	envProof      = "PERIJOVE_PROOF"
)

// Claim returns the home volume of a server.
func Claim(site Site, p Profile, id server.ID) *corev1.PersistentVolumeClaim {
	size, _ := p.Override.capacity() // validated
	home := p.Override.HomeOf(id)
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: site.Placement(id.User, p).Namespace,
			Name:      homeName(home),
			Labels:    map[string]string{contract.LabelComponent: "singleuser-storage"},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: p.Override.accessModes(),
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: size,
			}},
		},
	}
	if class := p.Override.StorageClass; class != "" {
		c.Spec.StorageClassName = &class
	}
	identify(&c.ObjectMeta, home)
	if home.Name == "" {
		delete(c.Labels, contract.LabelServername)
		delete(c.Annotations, contract.LabelServername)
	}
	return c
}

// Spec is what one pod is made from.
type Spec struct {
	ID      server.ID
	Profile Profile
	Options Options // kept on the pod
	// DisplayName is what the user calls the server; "" for its name.
	DisplayName string
	// SharedRules are the quotas that count the server together with other users'.
	SharedRules []string
	// From is the name of the waiting pod that becomes the server; "" makes one of its own.
	From string
	// Cold says that no waiting pod may.
	Cold bool
	// LateHome is the UID of the home volume's claim where a waiting pod gets the home.
	LateHome types.UID
	// Home is the name of the home volume's claim; "" is that of a new one. Only profiles whose
	// homes are volumes of their own need it.
	Home string
	// Small says that the home could not be made as large as the profile wants.
	Small *Small
	// Nonce is random, of lower-case letters and digits, and different for every pod (see
	// contract.ServerSecret).
	Nonce string
	// After is the UID of the server's present pod, which goes first; "" where there is none.
	After string
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
			ActiveDeadlineSeconds:         p.deadline(),
			// No token of the cluster's API in a pod that runs its user's code (K6), and no
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
			ImagePullSecrets: pullSecrets(p.Override.ImagePullSecrets),
			NodeSelector:     p.Override.NodeSelector,
			Tolerations:      p.Override.tolerations(),
			Containers:       []corev1.Container{serverContainer(site, s)},
			Volumes: append([]corev1.Volume{
				{Name: volumeHome, VolumeSource: s.home()},
				{Name: volumeJupyter, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: site.JupyterConfigMap},
					Items: []corev1.KeyToPath{
						{Key: "jupyter_server_config.py", Path: "jupyter_server_config.py"},
						{Key: "default_setting_overrides.json", Path: "labconfig/default_setting_overrides.json"},
						{Key: "notices.package.json", Path: "labextensions/@perijove/notices/package.json"},
						{Key: "notices.remoteEntry.js", Path: "labextensions/@perijove/notices/remoteEntry.js"},
					},
				}}},
			}, p.Override.volumes()...),
		},
	}
	s.Options.Keep(pod)
	p.keep(pod)
	p.Program.keep(pod)
	s.Small.keep(pod)
	counted{Weight: p.weight(), Rules: s.SharedRules}.keep(pod)
	if s.DisplayName != "" {
		pod.Annotations[contract.AnnotationDisplayName] = s.DisplayName
	}
	if site.Proof && p.Program == nil {
		promiseProof(pod, secretName(pod.Name, s.Nonce))
	}
	mergeClaims(&pod.Spec)
	site.Scheduling.put(pod)
	identify(&pod.ObjectMeta, id)
	return pod
}

// Volumes returns the sizes of the home volumes that the server needs, in bytes, by claim.
func (s Spec) Volumes(site Site) map[string]int64 {
	if !s.Profile.Override.HasVolume() {
		return nil
	}
	claim := Claim(site, s.Profile, s.ID)
	size := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return map[string]int64{claim.Name: size.Value()}
}

// home is the volume of the home folder.
func (s Spec) home() corev1.VolumeSource {
	o := s.Profile.Override
	switch {
	case !o.Persistent():
		return emptyDir(cmp.Or(o.StorageCapacity, defaultStorage), "")
	case o.static():
		return claimVolume(o.StorageClaim, false)
	}
	return claimVolume(cmp.Or(s.Home, homeName(o.HomeOf(s.ID))), false)
}

func pullSecrets(names []string) []corev1.LocalObjectReference {
	var out []corev1.LocalObjectReference
	for _, name := range names {
		out = append(out, corev1.LocalObjectReference{Name: name})
	}
	return out
}

func serverContainer(site Site, s Spec) corev1.Container {
	p := s.Profile
	return corev1.Container{
		Name:            container,
		Image:           p.Override.Image,
		ImagePullPolicy: p.Override.pullPolicy(),
		Command:         literals(p.Override.Cmd),
		Args:            literals(p.Override.Args),
		Ports:           []corev1.ContainerPort{{Name: contract.PortName, ContainerPort: port}},
		Resources:       p.Override.resources(),
		WorkingDir:      homePath,
		Env:             environment(site, s),
		VolumeMounts: append([]corev1.VolumeMount{
			{Name: volumeHome, MountPath: homePath, SubPath: p.Override.homeFolder(s.ID)},
			{Name: volumeJupyter, MountPath: configPath, ReadOnly: true},
		}, p.Override.mounts(s.ID)...),
		// The last lines of a crashed server reach its status this way: the node that has the log
		// may be gone by the time that somebody looks.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// safeFolder is where a safe start keeps what Jupyter, IPython and extensions write.
const safeFolder = "/tmp/perijove-safe"

// safeEnvironment turns Jupyter, IPython and Python away from the folders of the home where
// users configure and install: ~/.jupyter, ~/.local, ~/.ipython. A home that is full or a
// broken package in it then keeps no server from starting.
func safeEnvironment() map[string]string {
	return map[string]string{
		"JUPYTER_CONFIG_DIR":  safeFolder + "/config",
		"JUPYTER_DATA_DIR":    safeFolder + "/data",
		"JUPYTER_RUNTIME_DIR": safeFolder + "/runtime",
		"IPYTHONDIR":          safeFolder + "/ipython",
		"PYTHONNOUSERSITE":    "1",
	}
}

// variable is one of a server's environment, as the server sees it.
type variable struct{ name, value string }

// settings are the server's variables but for its secret: JupyterHub's, then the profile's, then what a safe start
// changes, then the platform's, which nothing before may set (see validateEnvironment).
func settings(site Site, s Spec) (all []variable) {
	more := hubEnvironment(site, s.ID)
	maps.Copy(more, s.Profile.Override.Environment)
	if s.Options.Safe {
		maps.Copy(more, safeEnvironment())
	}
	for _, name := range sorted(more) {
		all = append(all, variable{name, more[name]})
	}
	all = append(all, variable{envHome, homePath}, variable{envConfigPath, configPath}, variable{"PERIJOVE_BASE_URL", s.ID.Prefix()}, variable{envUser, s.ID.User})
	if url := s.Profile.Override.DefaultURL; url != "" {
		all = append(all, variable{"PERIJOVE_DEFAULT_URL", url})
	}
	if hub := site.Public.HubBaseURL(); hub != "" {
		all = append(all, variable{"PERIJOVE_HUB_ORIGIN", hub})
	}
	if digest := site.assets(s.Profile.Override.Image); digest != "" {
		all = append(all, variable{contract.EnvAssets, digest})
	}
	return all
}

// environment is the variables of a container, with the server's secret.
func environment(site Site, s Spec) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, v := range settings(site, s) {
		env = append(env, corev1.EnvVar{Name: v.name, Value: literal(v.value)})
		if v.name == envUser {
			env = append(env, secretVariable(envSecret, secretName(PodName(s.ID), s.Nonce), secretKey))
		}
	}
	return env
}

// secretVariable is a variable whose value is in a Secret.
func secretVariable(name, secret, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key,
	}}}
}

// hubEnvironment is how libraries learn where in JupyterHub they run: dashboards of Dask and Bokeh
// make their links of these. The names are JupyterHub's ("Services", "Environment variables"). Its
// variables of a login at the hub are not among them: a server has no API token of its own.
func hubEnvironment(site Site, id server.ID) map[string]string {
	return map[string]string{
		"JUPYTERHUB_USER":           id.User,
		"JUPYTERHUB_SERVER_NAME":    id.Name,
		"JUPYTERHUB_BASE_URL":       "/",
		"JUPYTERHUB_SERVICE_PREFIX": id.Prefix(),
		"JUPYTERHUB_HOST":           site.Public.HubBaseURL(),
		"JUPYTERHUB_API_URL":        site.Public.Origin() + contract.PathAPI,
		"JUPYTERHUB_PUBLIC_URL":     site.Public.For(id.User).Origin() + id.Prefix(),
		"JUPYTERHUB_PUBLIC_HUB_URL": site.Public.Origin() + contract.PathHub,
	}
}

// literal keeps Kubernetes from expanding "$(NAME)" in a user's name or a profile's value.
func literal(value string) string { return strings.ReplaceAll(value, "$", "$$") }

func literals(words []string) []string {
	var out []string
	for _, word := range words {
		out = append(out, literal(word))
	}
	return out
}
