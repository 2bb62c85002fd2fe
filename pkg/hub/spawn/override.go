package spawn

import (
	"cmp"
	"maps"
	"reflect"
)

// with returns o with what over sets: texts, numbers and lists of over replace those of o,
// and maps are joined, as KubeSpawner joins a profile with its defaults.
func (o Override) with(over Override) Override {
	o.Image = cmp.Or(over.Image, o.Image)
	o.ImagePullPolicy = cmp.Or(over.ImagePullPolicy, o.ImagePullPolicy)
	o.ImagePullSecrets = list(over.ImagePullSecrets, o.ImagePullSecrets)
	o.CPUGuarantee = cmp.Or(over.CPUGuarantee, o.CPUGuarantee)
	o.CPULimit = cmp.Or(over.CPULimit, o.CPULimit)
	o.MemGuarantee = cmp.Or(over.MemGuarantee, o.MemGuarantee)
	o.MemLimit = cmp.Or(over.MemLimit, o.MemLimit)
	o.ExtraResourceGuarantees = joined(o.ExtraResourceGuarantees, over.ExtraResourceGuarantees)
	o.ExtraResourceLimits = joined(o.ExtraResourceLimits, over.ExtraResourceLimits)
	o.StorageType = cmp.Or(over.StorageType, o.StorageType)
	o.StorageCapacity = cmp.Or(over.StorageCapacity, o.StorageCapacity)
	o.StorageClass = cmp.Or(over.StorageClass, o.StorageClass)
	o.StorageHomes = cmp.Or(over.StorageHomes, o.StorageHomes)
	o.StorageAccessModes = list(over.StorageAccessModes, o.StorageAccessModes)
	o.StorageClaim = cmp.Or(over.StorageClaim, o.StorageClaim)
	o.StorageSubPath = cmp.Or(over.StorageSubPath, o.StorageSubPath)
	o.Environment = joined(o.Environment, over.Environment)
	o.NodeSelector = joined(o.NodeSelector, over.NodeSelector)
	o.Tolerations = list(over.Tolerations, o.Tolerations)
	o.Volumes = list(over.Volumes, o.Volumes)
	o.VolumeMounts = list(over.VolumeMounts, o.VolumeMounts)
	o.Cmd = list(over.Cmd, o.Cmd)
	o.Args = list(over.Args, o.Args)
	o.DefaultURL = cmp.Or(over.DefaultURL, o.DefaultURL)
	return o
}

// list returns over unless it was not given at all: an empty list takes away what was there.
func list[T any](over, base []T) []T {
	if over != nil {
		return over
	}
	return base
}

// joined returns base with the entries of over, in a new map.
func joined[V any](base, over map[string]V) map[string]V {
	if len(base) == 0 && len(over) == 0 {
		return nil
	}
	out := make(map[string]V, len(base)+len(over))
	maps.Copy(out, base)
	maps.Copy(out, over)
	return out
}

// fill returns o with every text passed through f, in new maps and lists. Names of volumes
// and of Secrets are no such texts: a user's words must not choose them (K4).
func (o Override) fill(f func(string) string) Override {
	o.Image = f(o.Image)
	o.CPUGuarantee, o.CPULimit = Cores(f(string(o.CPUGuarantee))), Cores(f(string(o.CPULimit)))
	o.MemGuarantee, o.MemLimit = Memory(f(string(o.MemGuarantee))), Memory(f(string(o.MemLimit)))
	o.ExtraResourceGuarantees = filled(o.ExtraResourceGuarantees, f)
	o.ExtraResourceLimits = filled(o.ExtraResourceLimits, f)
	o.Environment = filled(o.Environment, f)
	o.NodeSelector = filled(o.NodeSelector, f)
	o.DefaultURL = f(o.DefaultURL)
	return o
}

func filled[V ~string](m map[string]V, f func(string) string) map[string]V {
	if m == nil {
		return nil
	}
	out := make(map[string]V, len(m))
	for key, value := range m {
		out[key] = V(f(string(value)))
	}
	return out
}

func (o Override) equal(other Override) bool { return reflect.DeepEqual(o, other) }
