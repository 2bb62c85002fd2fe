package spawn

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/server"
)

// Toleration is Kubernetes' field of that name.
type Toleration struct {
	Key               string `yaml:"key"`
	Operator          string `yaml:"operator"` // Equal (default) or Exists
	Value             string `yaml:"value"`
	Effect            string `yaml:"effect"` // NoSchedule, PreferNoSchedule, NoExecute; "" is all
	TolerationSeconds *int64 `yaml:"tolerationSeconds"`
}

// Volume is Kubernetes' field of that name, for the kinds that reach neither the node nor a
// Secret. A file system of another kind (NFS, CVMFS, CSI) comes as a persistentVolumeClaim
// that an administrator makes.
type Volume struct {
	Name                  string           `yaml:"name"`
	EmptyDir              *EmptyDir        `yaml:"emptyDir"`
	ConfigMap             *ConfigMapVolume `yaml:"configMap"`
	PersistentVolumeClaim *ClaimVolume     `yaml:"persistentVolumeClaim"`
}

// EmptyDir is a folder that lives as long as the server; with medium Memory it counts as
// the server's memory.
type EmptyDir struct {
	Medium    string `yaml:"medium"` // "" or Memory
	SizeLimit Amount `yaml:"sizeLimit"`
}

// ConfigMapVolume is the files of a ConfigMap in the servers' namespace.
type ConfigMapVolume struct {
	Name        string    `yaml:"name"`
	Items       []KeyPath `yaml:"items"`
	DefaultMode *int32    `yaml:"defaultMode"`
	Optional    bool      `yaml:"optional"`
}

// KeyPath is the file that a key of a ConfigMap becomes.
type KeyPath struct {
	Key  string `yaml:"key"`
	Path string `yaml:"path"`
}

// ClaimVolume is a claim in the servers' namespace that all servers of the profile share.
type ClaimVolume struct {
	ClaimName string `yaml:"claimName"`
	ReadOnly  bool   `yaml:"readOnly"`
}

// VolumeMount is Kubernetes' field of that name.
type VolumeMount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	SubPath   string `yaml:"subPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

func (o Override) validateNode(f *faults) {
	for _, key := range sorted(o.NodeSelector) {
		f.refuse("node_selector."+key, slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(o.NodeSelector[key])))
	}
	for i, t := range o.Tolerations {
		key := fmt.Sprintf("tolerations[%d]", i)
		operator, effect := corev1.TolerationOperator(t.Operator), corev1.TaintEffect(t.Effect)
		f.check(slices.Contains([]corev1.TolerationOperator{"", corev1.TolerationOpEqual, corev1.TolerationOpExists}, operator), key+".operator", "must be Equal or Exists")
		f.check(slices.Contains([]corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}, effect),
			key+".effect", "must be NoSchedule, PreferNoSchedule or NoExecute")
		f.check(t.Key != "" || operator == corev1.TolerationOpExists, key+".key", "is required unless the operator is Exists")
		f.check(t.Value == "" || operator != corev1.TolerationOpExists, key+".value", "must be empty where the operator is Exists")
		f.check(t.TolerationSeconds == nil || effect == corev1.TaintEffectNoExecute, key+".tolerationSeconds", "needs the effect NoExecute")
		if t.Key != "" {
			f.refuse(key+".key", validation.IsQualifiedName(t.Key))
		}
		f.refuse(key+".value", validation.IsValidLabelValue(t.Value))
	}
}

// validateEnvironment keeps a profile from setting what the platform sets: the variables
// that say whose server this is, and where its configuration is (K4).
func (o Override) validateEnvironment(f *faults) {
	for _, name := range sorted(o.Environment) {
		key := "environment." + name
		f.refuse(key, validation.IsEnvVarName(name))
		f.check(!strings.HasPrefix(name, envPrefix) && name != envHome && name != envConfigPath, key, "is set by the platform")
		f.check(!strings.ContainsRune(o.Environment[name], 0), key, "holds a NUL")
	}
}

func (o Override) validateVolumes(f *faults) {
	names := map[string]bool{volumeHome: true, volumeJupyter: true, volumeProof: true}
	for i, v := range o.Volumes {
		key := fmt.Sprintf("volumes[%d]", i)
		f.refuse(key+".name", validation.IsDNS1123Label(v.Name))
		f.check(!names[v.Name], key+".name", "%q is taken", v.Name)
		names[v.Name] = true
		v.validate(f, key)
	}
	delete(names, volumeJupyter) // nothing but the platform's own mount shows it, or the next
	delete(names, volumeProof)
	paths := map[string]bool{}
	for i, m := range o.VolumeMounts {
		key := fmt.Sprintf("volume_mounts[%d]", i)
		f.check(names[m.Name], key+".name", "there is no volume %q", m.Name)
		f.mountPath(key+".mountPath", m.MountPath)
		f.check(!paths[m.MountPath], key+".mountPath", "is mounted twice")
		f.check(inside(m.SubPath), key+".subPath", "must stay inside the volume")
		// The user could make the folder a link to another's: the kubelet follows links within a volume (K4).
		f.check(!o.static() || m.Name != volumeHome || m.SubPath == "", key+".subPath", "cannot be of a home that shares its volume with others")
		paths[m.MountPath] = true
	}
}

// mountPath checks where a volume is mounted: not over what the platform mounts.
func (f *faults) mountPath(key, p string) {
	f.check(path.IsAbs(p) && path.Clean(p) == p && !strings.Contains(p, ":"), key, "must be a plain absolute path")
	f.check(!hides(p, homePath) && !cover(p, configPath) && !cover(p, proofPath), key, "is the platform's")
}

// inside reports whether a folder of a volume is inside it.
func inside(subPath string) bool {
	return !path.IsAbs(subPath) && !slices.Contains(strings.Split(subPath, "/"), "..")
}

func (v Volume) validate(f *faults, key string) {
	kinds := 0
	if e := v.EmptyDir; e != nil {
		kinds++
		_, err := e.SizeLimit.quantity()
		f.check(err == nil, key+".emptyDir.sizeLimit", "%v", err)
		f.check(e.Medium == "" || e.Medium == string(corev1.StorageMediumMemory), key+".emptyDir.medium", "must be Memory or empty")
	}
	if m := v.ConfigMap; m != nil {
		kinds++
		f.refuse(key+".configMap.name", validation.IsDNS1123Subdomain(m.Name))
		f.check(m.DefaultMode == nil || *m.DefaultMode >= 0 && *m.DefaultMode <= 0o777, key+".configMap.defaultMode", "must be a file mode up to 0777")
	}
	if c := v.PersistentVolumeClaim; c != nil {
		kinds++
		f.refuse(key+".persistentVolumeClaim.claimName", validation.IsDNS1123Subdomain(c.ClaimName))
		f.check(!isHome(c.ClaimName), key+".persistentVolumeClaim.claimName", "is a name of users' homes")
	}
	f.check(kinds == 1, key, "must have one of emptyDir, configMap and persistentVolumeClaim")
}

// hides reports whether a mount at p covers the folder at all or in part.
func hides(p, folder string) bool { return p == folder || within(folder, p) }

// within reports whether p is below folder.
func within(p, folder string) bool {
	return strings.HasPrefix(p, strings.TrimSuffix(folder, "/")+"/")
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// tolerations returns a valid profile's tolerations in Kubernetes' form. Nodes with GPUs are often tainted
// with the resource's own name (nvidia.com/gpu:NoSchedule), so that only pods that ask for one are on them.
// A server that asks for a device tolerates that taint, as Kubernetes' admission plugin
// ExtendedResourceToleration would say where it is on.
func (o Override) tolerations() []corev1.Toleration {
	var out []corev1.Toleration
	for _, t := range o.Tolerations {
		out = append(out, corev1.Toleration{
			Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value,
			Effect: corev1.TaintEffect(t.Effect), TolerationSeconds: t.TolerationSeconds,
		})
	}
	for _, name := range sorted(o.ExtraResourceLimits) {
		own := corev1.Toleration{Key: name, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}
		amount, _ := o.ExtraResourceLimits[name].quantity() // validated
		if strings.Contains(name, "/") && !amount.IsZero() && !slices.Contains(out, own) {
			out = append(out, own)
		}
	}
	return out
}

// volumes returns a valid profile's volumes in Kubernetes' form.
func (o Override) volumes() []corev1.Volume {
	var out []corev1.Volume
	for _, v := range o.Volumes {
		out = append(out, corev1.Volume{Name: v.Name, VolumeSource: v.source()})
	}
	return out
}

func (v Volume) source() corev1.VolumeSource {
	switch {
	case v.EmptyDir != nil:
		return emptyDir(v.EmptyDir.SizeLimit, v.EmptyDir.Medium)
	case v.ConfigMap != nil:
		m := &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.ConfigMap.Name}, DefaultMode: v.ConfigMap.DefaultMode,
		}
		for _, item := range v.ConfigMap.Items {
			m.Items = append(m.Items, corev1.KeyToPath{Key: item.Key, Path: item.Path})
		}
		if v.ConfigMap.Optional {
			m.Optional = new(true)
		}
		return corev1.VolumeSource{ConfigMap: m}
	}
	return claimVolume(v.PersistentVolumeClaim.ClaimName, v.PersistentVolumeClaim.ReadOnly)
}

func emptyDir(limit Amount, medium string) corev1.VolumeSource {
	dir := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMedium(medium)}
	if q, err := limit.quantity(); err == nil && !q.IsZero() {
		dir.SizeLimit = &q
	}
	return corev1.VolumeSource{EmptyDir: dir}
}

func claimVolume(name string, readOnly bool) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name, ReadOnly: readOnly}}
}

// mounts returns a valid profile's mounts in Kubernetes' form, for one server.
func (o Override) mounts(id server.ID) []corev1.VolumeMount {
	var out []corev1.VolumeMount
	for _, m := range o.VolumeMounts {
		if m.Name == volumeHome {
			m.SubPath = path.Join(o.homeFolder(id), m.SubPath)
		}
		out = append(out, corev1.VolumeMount{Name: m.Name, MountPath: m.MountPath, SubPath: m.SubPath, ReadOnly: m.ReadOnly})
	}
	return out
}
