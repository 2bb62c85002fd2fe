package spawn

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/server/access"
)

// SharedVolume is a volume, or a folder of one, that members of groups find in their servers.
type SharedVolume struct {
	Name string `yaml:"name"`
	// Claim is a PersistentVolumeClaim in the servers' namespace that an administrator makes.
	Claim string `yaml:"claim"`
	// SubPath is the folder of the volume; "" is the whole.
	SubPath string `yaml:"subPath"`
	// MountPath is where servers have it; "" is /shared/<name>.
	MountPath string `yaml:"mountPath"`
	// Writers are the groups whose members may write, Readers those whose members may only
	// read; "*" is all users. Servers of other users do not have the volume.
	Writers []string `yaml:"writers"`
	Readers []string `yaml:"readers"`
}

const (
	// sharedPrefix begins the names of shared volumes in a pod, so that none is a profile's.
	sharedPrefix = "shared-"
	sharedFolder = "/shared/"
	everybody    = "*"
)

// path is where servers have the volume.
func (v SharedVolume) path() string { return cmp.Or(v.MountPath, sharedFolder+v.Name) }

// open reports whether a user with these groups gets the volume, and whether only to read.
func (v SharedVolume) open(groups access.Groups) (ok, readOnly bool) {
	if includes(v.Writers, groups) {
		return true, false
	}
	return includes(v.Readers, groups), true
}

func includes(wanted []string, groups access.Groups) bool {
	return slices.Contains(wanted, everybody) || groups.Any(wanted)
}

// withShared returns o with those of the volumes that a user with these groups gets.
func (o Override) withShared(volumes []SharedVolume, groups access.Groups) Override {
	o.Volumes, o.VolumeMounts = slices.Clone(o.Volumes), slices.Clone(o.VolumeMounts)
	for _, v := range volumes {
		ok, readOnly := v.open(groups)
		if !ok {
			continue
		}
		name := sharedPrefix + v.Name
		o.Volumes = append(o.Volumes, Volume{Name: name, PersistentVolumeClaim: &ClaimVolume{ClaimName: v.Claim, ReadOnly: readOnly}})
		o.VolumeMounts = append(o.VolumeMounts, VolumeMount{Name: name, MountPath: v.path(), SubPath: v.SubPath, ReadOnly: readOnly})
	}
	return o
}

// validateShared checks the volumes by themselves and against each other, and returns what of
// claims they use.
func validateShared(f *faults, volumes []SharedVolume) (uses []use) {
	names := map[string]bool{}
	for i, v := range volumes {
		key := fmt.Sprintf("shared_volumes[%d].", i)
		f.refuse(key+"name", validation.IsDNS1123Label(sharedPrefix+v.Name))
		f.check(v.Name != "", key+"name", "is required")
		f.check(!names[v.Name], key+"name", "%q is another volume's", v.Name)
		names[v.Name] = true
		f.refuse(key+"claim", validation.IsDNS1123Subdomain(v.Claim))
		f.check(!isHome(v.Claim), key+"claim", "is a name of users' homes")
		f.check(v.SubPath == "" || v.SubPath != "." && inside(v.SubPath) && path.Clean(v.SubPath) == v.SubPath, key+"subPath", "must be a plain path inside the volume")
		f.mountPath(key+"mountPath", v.path())
		for j, other := range volumes[:i] {
			f.check(!cover(v.path(), other.path()), key+"mountPath", "hides or is below that of shared_volumes[%d]", j)
		}
		f.check(len(v.Writers)+len(v.Readers) > 0, key+"readers", "neither readers nor writers are named")
		f.check(!nameless(v.Writers), key+"writers", "has an empty name")
		f.check(!nameless(v.Readers), key+"readers", "has an empty name")
		uses = append(uses, use{key + "subPath", v.Claim, v.SubPath, false})
	}
	return uses
}

// cover reports whether two mounts are at one place, or one below the other.
func cover(a, b string) bool { return hides(a, b) || within(a, b) }
