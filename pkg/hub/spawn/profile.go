package spawn

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/perijove/perijove/pkg/hub/spawn/pool"
)

// Profile is what a server is made from, in the shape of one entry of JupyterHub's
// KubeSpawner.profile_list (the fields that this platform has).
type Profile struct {
	DisplayName string `yaml:"display_name"`
	Slug        string `yaml:"slug"`
	Description string `yaml:"description"`
	// Default marks the profile of users who choose nothing; without one it is the first.
	Default bool `yaml:"default"`
	// AllowedGroups are the names of the groups whose users may choose it (access.SameGroup);
	// empty means all users.
	AllowedGroups []string `yaml:"allowed_groups"`
	Override      Override `yaml:"kubespawner_override"`
	// Options are what users choose within the profile, by name.
	Options  map[string]ProfileOption `yaml:"profile_options"`
	Lifetime `yaml:",inline"`

	// Program says that the command is another program than Jupyter; nil for Jupyter.
	Program *Program `yaml:"program"`

	// QuotaWeight is how much a server of the profile counts as a server, and its hours as hours,
	// where quotas limit them; "" is 1, and 0 lets it count nothing.
	QuotaWeight Amount `yaml:"quota_weight"`

	// Pool is how many pods of the profile wait, with JupyterLab imported, for users to come.
	Pool pool.Plan `yaml:"pool"`

	own         Override // without the shared settings (Document.Policy)
	ownLifetime Lifetime // likewise
}

// Override holds the settings under kubespawner_override. Names and meanings are those of
// KubeSpawner's traits, except for storage_type, which is Zero to JupyterHub's
// singleuser.storage.type.
//
// What is missing is missing on purpose: labels, annotations and service accounts would let
// a profile become another user's server (K4), and volumes of other kinds would let it
// reach the node (K6).
type Override struct {
	Image           string `yaml:"image"`
	ImagePullPolicy string `yaml:"image_pull_policy"` // Always, IfNotPresent (default) or Never
	// ImagePullSecrets are names of Secrets in the servers' namespace.
	ImagePullSecrets []string `yaml:"image_pull_secrets"`

	CPUGuarantee Cores  `yaml:"cpu_guarantee"`
	CPULimit     Cores  `yaml:"cpu_limit"`
	MemGuarantee Memory `yaml:"mem_guarantee"`
	MemLimit     Memory `yaml:"mem_limit"`
	// ExtraResourceGuarantees and ExtraResourceLimits are further resources by Kubernetes'
	// name: nvidia.com/gpu, ephemeral-storage. The limit of ephemeral-storage (what a server
	// writes outside its home) is 10Gi unless set here, so that no user fills a node's disk;
	// 0 means no limit.
	ExtraResourceGuarantees map[string]Amount `yaml:"extra_resource_guarantees"`
	ExtraResourceLimits     map[string]Amount `yaml:"extra_resource_limits"`

	// StorageType is dynamic (default): the home is a volume that outlives servers; static: it
	// is a folder of the volume that StorageClaim names; or none: the home is empty at each
	// start and gone after each stop.
	StorageType string `yaml:"storage_type"`
	// StorageHomes is user (default): one home for all servers of a user; or server: a home for
	// each. The default server has the user's in either case.
	StorageHomes    string `yaml:"storage_homes"`
	StorageCapacity Amount `yaml:"storage_capacity"` // of the home, 1Gi by default
	StorageClass    string `yaml:"storage_class"`    // "" is the cluster's default
	// StorageAccessModes are those of the home's claim, ReadWriteOnce by default.
	StorageAccessModes []corev1.PersistentVolumeAccessMode `yaml:"storage_access_modes"`
	// StorageClaim is a claim in the servers' namespace, and StorageSubPath a home's folder of it:
	// {username} (default) stands for the slug of the user or, with homes for each server, of
	// the server.
	StorageClaim   string `yaml:"storage_claim"`
	StorageSubPath string `yaml:"storage_sub_path"`

	// Environment is further variables of the server. Values are literal: $(NAME) is not
	// expanded.
	Environment  map[string]string `yaml:"environment"`
	NodeSelector map[string]string `yaml:"node_selector"` // labels of the nodes for these servers
	Tolerations  []Toleration      `yaml:"tolerations"`
	// Volumes and VolumeMounts are Kubernetes' fields, for the kinds of volume that Volume has.
	Volumes      []Volume      `yaml:"volumes"`
	VolumeMounts []VolumeMount `yaml:"volume_mounts"`

	// Cmd and Args are the container's command and its arguments, instead of the image's.
	Cmd  []string `yaml:"cmd"`
	Args []string `yaml:"args"`
	// DefaultURL is the path below the server's own that users are led to: /lab, /tree.
	DefaultURL string `yaml:"default_url"`
}

// defaultEphemeral bounds what a server may write outside its home, so that no user fills a node's disk.
const defaultEphemeral = "10Gi"

// What a slug and the name of an image are; the chart checks its values with the same.
const (
	SlugPattern = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	// ImagePattern matches a name as registries have it, with a tag or a digest or without
	// (https://pkg.go.dev/github.com/distribution/reference). A kubelet refuses any other.
	ImagePattern = `^(` + registry + `/)?` + imagePath + `(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`

	registry  = `((localhost|(` + domainLabel + `\.)+` + domainLabel + `|\[[0-9a-fA-F:]+\])(:[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+)`
	imagePath = pathPart + `(/` + pathPart + `)*`

	domainLabel = `[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`
	pathPart    = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
)

var (
	validSlug  = regexp.MustCompile(SlugPattern)
	validImage = regexp.MustCompile(ImagePattern)
)

// Fault is one thing that is wrong with a profile.
type Fault struct{ Key, Text string }

// faults collects them.
type faults []Fault

func (f *faults) check(ok bool, key, format string, args ...any) {
	if !ok {
		*f = append(*f, Fault{key, fmt.Sprintf(format, args...)})
	}
}

// refuse records what a validation of Kubernetes found, if anything.
func (f *faults) refuse(key string, found []string) {
	f.check(len(found) == 0, key, "%s", strings.Join(found, "; "))
}

// Validate returns every fault, with keys below the profile's own.
func (p Profile) Validate() []Fault {
	var f faults
	f.check(p.DisplayName != "", "display_name", "is required")
	f.check(validSlug.MatchString(p.Slug), "slug",
		"must be 1 to 63 lower-case letters, digits and dashes")
	f.check(!nameless(p.AllowedGroups), "allowed_groups", "has an empty name")
	for _, fault := range p.Override.faults() {
		f = append(f, Fault{"kubespawner_override." + fault.Key, fault.Text})
	}
	f = append(f, p.Lifetime.faults()...)
	p.validateOptions(&f)
	p.validateWeight(&f)
	p.validatePool(&f)
	return f
}

// faults returns what keeps a server from being made of o. It is the one policy of what a
// profile, a choice and a typed value may say: labels, service accounts, host paths and
// privileges have no key at all (K4, K6).
func (o Override) faults() faults {
	var f faults
	o.validateImage(&f)
	o.validateAmounts(&f)
	o.validateStorage(&f)
	o.validateNode(&f)
	o.validateEnvironment(&f)
	o.validateVolumes(&f)
	o.validateCommand(&f)
	return f
}

// validateCommand checks what runs in the container and where it leads users.
func (o Override) validateCommand(f *faults) {
	noNUL := func(key string, words []string) {
		for i, word := range words {
			f.check(!strings.ContainsRune(word, 0), fmt.Sprintf("%s[%d]", key, i), "holds a NUL")
		}
	}
	noNUL("cmd", o.Cmd)
	noNUL("args", o.Args)
	f.check(o.DefaultURL == "" || strings.HasPrefix(o.DefaultURL, "/") && !strings.HasPrefix(o.DefaultURL, "//") && printable(o.DefaultURL),
		"default_url", "must be a path like /lab")
}

// nameless reports whether one of the groups has no name.
func nameless(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return strings.TrimSpace(g) == "" })
}

// printable reports whether s is ASCII without spaces, control bytes and backslashes, which
// browsers read as slashes.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' })
}

func (o Override) validateImage(f *faults) {
	f.check(validImage.MatchString(o.Image), "image", "must name a container image")
	policies := []corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	f.check(slices.Contains(policies, corev1.PullPolicy(o.ImagePullPolicy)), "image_pull_policy", "must be Always, IfNotPresent or Never")
	for i, name := range o.ImagePullSecrets {
		f.refuse(fmt.Sprintf("image_pull_secrets[%d]", i), validation.IsDNS1123Subdomain(name))
	}
}

func (o Override) validateAmounts(f *faults) {
	atLeast := func(guarantee, limit int64, key string) {
		f.check(limit == 0 || guarantee <= limit, key+"_limit", "is below %s_guarantee", key)
	}
	read := func(key string, n int64, err error) int64 {
		f.check(err == nil, key, "%v", err)
		return n
	}
	cores := func(key string, c Cores) int64 {
		n, err := c.Milli()
		return read(key, n, err)
	}
	bytes := func(key string, m Memory) int64 {
		n, err := m.Bytes()
		return read(key, n, err)
	}
	atLeast(cores("cpu_guarantee", o.CPUGuarantee), cores("cpu_limit", o.CPULimit), "cpu")
	atLeast(bytes("mem_guarantee", o.MemGuarantee), bytes("mem_limit", o.MemLimit), "mem")
	for _, extra := range []struct {
		key  string
		list map[string]Amount
	}{{"extra_resource_guarantees", o.ExtraResourceGuarantees}, {"extra_resource_limits", o.ExtraResourceLimits}} {
		for _, name := range sorted(extra.list) {
			key := extra.key + "." + name
			_, err := extra.list[name].quantity()
			f.check(err == nil, key, "%v", err)
			f.check(name != "cpu" && name != "memory", key, "has a setting of its own: cpu_… or mem_…")
			f.refuse(key, validation.IsQualifiedName(name))
		}
	}
	for _, name := range sorted(o.ExtraResourceLimits) {
		guarantee, _ := o.ExtraResourceGuarantees[name].quantity() // checked above
		limit, _ := o.ExtraResourceLimits[name].quantity()
		f.check(limit.IsZero() || guarantee.Cmp(limit) <= 0, "extra_resource_limits."+name, "is below its guarantee")
	}
}

func (o Override) pullPolicy() corev1.PullPolicy {
	if o.ImagePullPolicy == "" {
		return corev1.PullIfNotPresent
	}
	return corev1.PullPolicy(o.ImagePullPolicy)
}

// resources turns a valid profile's amounts into Kubernetes' form.
func (o Override) resources() corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	set := func(list corev1.ResourceList, name corev1.ResourceName, q resource.Quantity) {
		if !q.IsZero() {
			list[name] = q
		}
	}
	cores := func(list corev1.ResourceList, c Cores) {
		n, _ := c.Milli() // validated
		set(list, corev1.ResourceCPU, *resource.NewMilliQuantity(n, resource.DecimalSI))
	}
	memory := func(list corev1.ResourceList, m Memory) {
		n, _ := m.Bytes() // validated
		set(list, corev1.ResourceMemory, *resource.NewQuantity(n, resource.BinarySI))
	}
	extra := func(list corev1.ResourceList, amounts map[string]Amount) {
		for name, a := range amounts {
			q, _ := a.quantity() // validated
			set(list, corev1.ResourceName(name), q)
		}
	}
	cores(r.Requests, o.CPUGuarantee)
	cores(r.Limits, o.CPULimit)
	memory(r.Requests, o.MemGuarantee)
	memory(r.Limits, o.MemLimit)
	set(r.Limits, corev1.ResourceEphemeralStorage, o.ephemeral())
	extra(r.Requests, o.ExtraResourceGuarantees)
	extra(r.Limits, o.ExtraResourceLimits)
	limit, limited := r.Limits[corev1.ResourceEphemeralStorage]
	if _, ok := r.Requests[corev1.ResourceEphemeralStorage]; limited && !ok {
		// Kubernetes would take the limit for the request, and no small node would do.
		r.Requests[corev1.ResourceEphemeralStorage] = *resource.NewQuantity(0, limit.Format)
	}
	return r
}

// ephemeral is the limit of what a server may write to the node's disk, zero when the
// profile sets it. A home that is not a volume is on that disk too.
func (o Override) ephemeral() resource.Quantity {
	if _, ok := o.ExtraResourceLimits[string(corev1.ResourceEphemeralStorage)]; ok {
		return resource.Quantity{}
	}
	limit := resource.MustParse(defaultEphemeral)
	if !o.Persistent() {
		home, _ := o.capacity() // validated
		limit.Add(home)
	}
	return limit
}
