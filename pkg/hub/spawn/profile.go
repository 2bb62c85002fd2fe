package spawn

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Profile is what a server is made from, in the shape of one entry of JupyterHub's
// KubeSpawner.profile_list (the fields that this platform has).
type Profile struct {
	DisplayName string `yaml:"display_name"`
	Slug        string `yaml:"slug"`
	Description string `yaml:"description"`
	// AllowedGroups are the groups whose users may choose it; empty means all users.
	AllowedGroups []string `yaml:"allowed_groups"`
	Override      Override `yaml:"kubespawner_override"`
}

// Override holds the settings under kubespawner_override, named as KubeSpawner names
// them. There is deliberately no way to set labels, annotations, service accounts,
// host paths or environment: those would let a profile become someone else (K4).
type Override struct {
	Image           string  `yaml:"image"`
	ImagePullPolicy string  `yaml:"image_pull_policy"` // Always, IfNotPresent (default) or Never
	CPUGuarantee    float64 `yaml:"cpu_guarantee"`     // cores; 0 means none
	CPULimit        float64 `yaml:"cpu_limit"`         // cores; 0 means none
	MemGuarantee    Memory  `yaml:"mem_guarantee"`
	MemLimit        Memory  `yaml:"mem_limit"`
	StorageCapacity string  `yaml:"storage_capacity"` // Kubernetes quantity, 1Gi by default
	StorageClass    string  `yaml:"storage_class"`    // "" is the cluster's default
}

// Memory is an amount as JupyterHub writes it: bytes, or a number with K, M, G or T,
// which are powers of 1024 (JupyterHub's ByteSpecification). Ki, Mi, Gi and Ti mean
// the same. "" means none.
type Memory string

// Bytes returns the amount; 0 for none.
func (m Memory) Bytes() (int64, error) {
	if m == "" {
		return 0, nil
	}
	match := regexp.MustCompile(`^([0-9]{1,12}(?:\.[0-9]{1,6})?)(?:([KMGT])i?)?$`).FindStringSubmatch(string(m))
	if match == nil {
		return 0, fmt.Errorf("%q is not an amount like 512M or 2G", string(m))
	}
	n, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		return 0, fmt.Errorf("read amount %q: %w", string(m), err)
	}
	for range strings.Index("KMGT", match[2]) + min(len(match[2]), 1) {
		n *= 1024
	}
	if n >= 1<<62 {
		return 0, fmt.Errorf("%q is more than any machine has", string(m))
	}
	return int64(n), nil
}

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

// Validate returns every fault, with keys below the profile's own.
func (p Profile) Validate() []Fault {
	var faults []Fault
	check := func(ok bool, key, text string) {
		if !ok {
			faults = append(faults, Fault{key, text})
		}
	}
	check(p.DisplayName != "", "display_name", "is required")
	check(validSlug.MatchString(p.Slug), "slug",
		"must be 1 to 63 lower-case letters, digits and dashes")
	check(!slices.Contains(p.AllowedGroups, ""), "allowed_groups", "has an empty name")
	o := p.Override
	const at = "kubespawner_override."
	check(validImage.MatchString(o.Image), at+"image", "must name a container image")
	check(slices.Contains([]corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}, corev1.PullPolicy(o.ImagePullPolicy)),
		at+"image_pull_policy", "must be Always, IfNotPresent or Never")
	check(o.CPUGuarantee >= 0 && o.CPUGuarantee <= 1024, at+"cpu_guarantee", "must be a number of cores")
	check(o.CPULimit >= 0 && o.CPULimit <= 1024, at+"cpu_limit", "must be a number of cores")
	check(o.CPULimit == 0 || o.CPUGuarantee <= o.CPULimit, at+"cpu_limit", "is below cpu_guarantee")
	guarantee, err := o.MemGuarantee.Bytes()
	check(err == nil, at+"mem_guarantee", fmt.Sprint(err))
	limit, err := o.MemLimit.Bytes()
	check(err == nil, at+"mem_limit", fmt.Sprint(err))
	check(limit == 0 || guarantee <= limit, at+"mem_limit", "is below mem_guarantee")
	size, err := resource.ParseQuantity(o.storage())
	check(err == nil && size.Sign() > 0, at+"storage_capacity", "must be an amount like 10Gi")
	return faults
}

// storage is the size of a home volume.
func (o Override) storage() string {
	if o.StorageCapacity == "" {
		return "1Gi"
	}
	return o.StorageCapacity
}

// Storage is the size of a home volume for people.
func (o Override) Storage() string { return o.storage() }

func (o Override) pullPolicy() corev1.PullPolicy {
	if o.ImagePullPolicy == "" {
		return corev1.PullIfNotPresent
	}
	return corev1.PullPolicy(o.ImagePullPolicy)
}

// resources turns a valid profile's amounts into Kubernetes' form.
func (o Override) resources() corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	cpu := func(list corev1.ResourceList, cores float64) {
		if cores > 0 {
			list[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(cores*1000), resource.DecimalSI)
		}
	}
	memory := func(list corev1.ResourceList, m Memory) {
		if n, err := m.Bytes(); err == nil && n > 0 {
			list[corev1.ResourceMemory] = *resource.NewQuantity(n, resource.BinarySI)
		}
	}
	cpu(r.Requests, o.CPUGuarantee)
	cpu(r.Limits, o.CPULimit)
	memory(r.Requests, o.MemGuarantee)
	memory(r.Limits, o.MemLimit)
	return r
}
