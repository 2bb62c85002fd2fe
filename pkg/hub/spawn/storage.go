package spawn

import (
	"cmp"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/server"
)

// Values of StorageType and StorageHomes.
const (
	storageDynamic = "dynamic"
	storageStatic  = "static"
	storageNone    = "none"

	homesOfUsers   = "user"
	homesOfServers = "server"
)

const (
	defaultStorage = "1Gi"
	defaultSubPath = ownName

	// ownName stands for the user, or the server, in StorageSubPath.
	ownName = "{username}"
)

// SubPathPattern is what StorageSubPath is. Its folders begin with no dot, so none of them leads
// anywhere but into itself.
const SubPathPattern = `^(` + folder + `/)*(` + folder + `)?\{username\}[A-Za-z0-9._-]*(/` + folder + `)*$`

const folder = `[A-Za-z0-9_-][A-Za-z0-9._-]*`

var validSubPath = regexp.MustCompile(SubPathPattern)

// allAccessModes are Kubernetes' (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes).
var allAccessModes = []corev1.PersistentVolumeAccessMode{
	corev1.ReadWriteOnce, corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOncePod,
}

func (o Override) validateStorage(f *faults) {
	f.check(slices.Contains([]string{"", storageDynamic, storageStatic, storageNone}, o.StorageType), "storage_type", "must be dynamic, static or none")
	f.check(slices.Contains([]string{"", homesOfUsers, homesOfServers}, o.StorageHomes), "storage_homes", "must be user or server")
	size, err := o.capacity()
	f.check(err == nil && size.Sign() > 0, "storage_capacity", "must be an amount like 10Gi")
	if o.StorageClass != "" {
		f.refuse("storage_class", validation.IsDNS1123Subdomain(o.StorageClass))
	}
	writable := len(o.StorageAccessModes) == 0
	for _, mode := range o.StorageAccessModes {
		f.check(slices.Contains(allAccessModes, mode), "storage_access_modes", "%q is not ReadWriteOnce, ReadWriteMany, ReadWriteOncePod or ReadOnlyMany", mode)
		f.check(mode != corev1.ReadWriteOncePod || len(o.StorageAccessModes) == 1, "storage_access_modes", "ReadWriteOncePod allows no other mode")
		writable = writable || mode != corev1.ReadOnlyMany
	}
	f.check(writable, "storage_access_modes", "must let a server write")
	f.check(o.StorageType != storageStatic || o.StorageClaim != "", "storage_claim", "is required with storage_type static")
	if o.StorageClaim != "" {
		f.refuse("storage_claim", validation.IsDNS1123Subdomain(o.StorageClaim))
		f.check(!isHome(o.StorageClaim), "storage_claim", "is a name of users' homes")
	}
	f.check(validSubPath.MatchString(o.subPath()), "storage_sub_path",
		"must be plain folders, one of them with {username} once; no name begins with a dot")
}

// capacity is the size of a home.
func (o Override) capacity() (resource.Quantity, error) {
	if o.StorageCapacity == "" {
		return resource.MustParse(defaultStorage), nil
	}
	return o.StorageCapacity.quantity()
}

func (o Override) accessModes() []corev1.PersistentVolumeAccessMode {
	if len(o.StorageAccessModes) == 0 {
		return []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	return o.StorageAccessModes
}

func (o Override) subPath() string { return cmp.Or(o.StorageSubPath, defaultSubPath) }

// Persistent reports whether the home outlives the server.
func (o Override) Persistent() bool { return o.StorageType != storageNone }

// HasVolume reports whether the spawner makes a volume for the home.
func (o Override) HasVolume() bool { return o.Persistent() && !o.static() }

func (o Override) static() bool { return o.StorageType == storageStatic }

// comesLate reports whether the driver of late homes can have the home: a volume of its own that several
// nodes may have at one time.
func (o Override) comesLate() bool {
	return o.HasVolume() && slices.Contains(o.accessModes(), corev1.ReadWriteMany)
}

// Storage is the size of a home in words, "" where many homes share one volume.
func (o Override) Storage() string {
	size, err := o.capacity()
	if err != nil || o.static() {
		return ""
	}
	return words(size.Value())
}

// HomeOf returns the server whose home a server has: its own where each has one, else that of
// its user's default server.
func (o Override) HomeOf(id server.ID) server.ID {
	if o.StorageHomes == homesOfServers {
		return id
	}
	return server.ID{User: id.User}
}

// homeFolder is the folder of the home within its volume, "" for the whole. Names in it are
// slugs: a user's own words never become a path (K1).
func (o Override) homeFolder(id server.ID) string {
	if !o.static() {
		return ""
	}
	return strings.ReplaceAll(o.subPath(), ownName, server.Slug(o.HomeOf(id)))
}

// Small says that a home stayed smaller than its profile wants.
type Small struct {
	Have string `json:"have"` // in words
	Want string `json:"want"`
	Why  string `json:"why"` // the cluster's words; untrusted
}

// Enlarge returns the merge patch (RFC 7386) that makes a home as large as the claim want asks
// for; false when there is nothing to do. A home is never made smaller. The patch is for this
// version of the claim only: of two starts the one that wants less must not come last. A
// claim without a volume cannot be changed yet.
func Enlarge(have, want *corev1.PersistentVolumeClaim) (patch []byte, ok bool) {
	now, size := have.Spec.Resources.Requests[corev1.ResourceStorage], want.Spec.Resources.Requests[corev1.ResourceStorage]
	if have.Status.Phase != corev1.ClaimBound || now.Cmp(size) >= 0 {
		return nil, false
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": have.ResourceVersion},
		"spec":     map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size.String()}}},
	})
	return patch, err == nil
}

// TooSmall describes a home that could not be enlarged, with the API's reason.
func TooSmall(have, want *corev1.PersistentVolumeClaim, why string) *Small {
	now, ok := have.Status.Capacity[corev1.ResourceStorage]
	if !ok {
		now = have.Spec.Resources.Requests[corev1.ResourceStorage]
	}
	size := want.Spec.Resources.Requests[corev1.ResourceStorage]
	return &Small{Have: words(now.Value()), Want: words(size.Value()), Why: brief(why)}
}

// Ungrown returns what a start takes that asks for no storage, after why: a quota of storage has
// no room for what it asked. False when the start was refused for another reason.
func Ungrown(needs []Need, why error) ([]Need, bool) {
	var refusal *quota.Refusal
	if !errors.As(why, &refusal) || refusal.Resource != quota.Storage {
		return nil, false
	}
	needs = slices.Clone(needs)
	for i := range needs {
		needs[i].Ask.Volumes = nil
	}
	return needs, true
}

// keep writes it on the pod that is started meanwhile, for its progress page.
func (s *Small) keep(pod *corev1.Pod) {
	if s == nil {
		return
	}
	data, _ := json.Marshal(s) // three texts: it cannot fail
	pod.Annotations[contract.AnnotationHomeSize] = string(data)
}

// smallHome is the step of a pod whose home stayed smaller than wanted.
func smallHome(pod *corev1.Pod) (Step, bool) {
	var s Small
	if json.Unmarshal([]byte(pod.Annotations[contract.AnnotationHomeSize]), &s) != nil || s.Want == "" {
		return Step{}, false
	}
	return Step{Percent: percentRequested, Message: MsgHomeSize, Data: map[string]string{"Have": s.Have, "Want": s.Want}, Detail: brief(s.Why)}, true
}
