package spawn

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// mergeClaims makes one volume of all that are of one claim: a kubelet mounts only one of two
// such volumes, and the pod waits for the other for ever. The volume is writable when one of
// them is; mounts of a read-only one stay read-only.
func mergeClaims(pod *corev1.PodSpec) {
	first := map[string]int{} // by claim, in volumes
	renamed, readOnly := map[string]string{}, map[string]bool{}
	var volumes []corev1.Volume
	for _, v := range pod.Volumes {
		claim := v.PersistentVolumeClaim
		if claim == nil {
			volumes = append(volumes, v)
			continue
		}
		readOnly[v.Name] = claim.ReadOnly
		if i, ok := first[claim.ClaimName]; ok {
			renamed[v.Name] = volumes[i].Name
			if !claim.ReadOnly {
				volumes[i].PersistentVolumeClaim.ReadOnly = false
			}
			continue
		}
		first[claim.ClaimName] = len(volumes)
		volumes = append(volumes, v)
	}
	pod.Volumes = volumes
	for i := range pod.Containers {
		for j := range pod.Containers[i].VolumeMounts {
			m := &pod.Containers[i].VolumeMounts[j]
			m.ReadOnly = m.ReadOnly || readOnly[m.Name]
			if name, ok := renamed[m.Name]; ok {
				m.Name = name
			}
		}
	}
}

// use is a folder of a claim that servers mount.
type use struct {
	key, claim, folder string
	home               bool // the folder is a template of homes: StorageSubPath
}

// validateUses refuses two uses that could meet in one folder of a claim.
func validateUses(f *faults, uses []use) {
	for i, u := range uses {
		for _, other := range uses[:i] {
			f.check(u.claim != other.claim || !u.clashes(other), u.key,
				"the folder %q of claim %s may be inside or around %q of %s", u.folder, u.claim, other.folder, other.key)
		}
	}
}

// clashes reports whether one of two folders of a claim may be inside the other. A user who may
// write in the outer one could make the inner one a link, and the kubelet would follow it, within
// the volume, for the next user (K4). Around homes nothing may be mounted, to read them neither.
func (u use) clashes(other use) bool {
	if u.home || other.home {
		return u.folder != other.folder && meet(u.folder, other.folder)
	}
	// The whole volume, "", has no outside that a link could lead to.
	return u.folder != "" && within(other.folder, u.folder) || other.folder != "" && within(u.folder, other.folder)
}

// meet reports whether two folders may be one, or one inside the other, for some user of each.
func meet(a, b string) bool {
	if a == "" || b == "" {
		return true
	}
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(as), len(bs)) {
		if !alike(as[i], bs[i]) && !alike(bs[i], as[i]) {
			return false
		}
	}
	return true
}

// alike reports whether a name is one that template has for some user. Of two templates each
// may be. Some volumes do not tell capital letters from small ones.
func alike(template, name string) bool {
	if strings.Contains(name, ownName) {
		return strings.Contains(template, ownName)
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(template), regexp.QuoteMeta(ownName), `[a-z0-9-]+`)
	return regexp.MustCompile(`^(?i:` + pattern + `)$`).MatchString(name)
}

// variants returns what a profile says of volumes by itself, with each of its choices and with
// each override of a document, without repetition. A list is from one of them in every server:
// lists replace lists.
func (p Policy) variants(profile Profile, overrides map[string]GroupOverride) (all []Override) {
	add := func(o Override) {
		o = Override{
			Volumes: o.Volumes, VolumeMounts: o.VolumeMounts,
			StorageType: o.StorageType, StorageClaim: o.StorageClaim, StorageSubPath: o.StorageSubPath,
		}
		if !slices.ContainsFunc(all, o.equal) {
			all = append(all, o)
		}
	}
	add(profile.Override)
	for _, name := range sorted(profile.Options) {
		option := profile.Options[name]
		for _, value := range sorted(option.Choices) {
			add(profile.Override.with(option.Choices[value].Override))
		}
		if option.Unlisted.Enabled {
			add(profile.Override.with(option.Unlisted.Override))
		}
	}
	for _, name := range sorted(overrides) {
		add(p.layered(profile, []GroupOverride{overrides[name]}).Override)
	}
	return all
}

// validateVolumes checks what servers mount of claims, over all profiles.
func (p Policy) validateVolumes(f *faults, d Document) {
	uses := validateShared(f, d.SharedVolumes)
	var found faults
	for i, profile := range p.Profiles {
		key := fmt.Sprintf("profiles[%d].kubespawner_override.", i)
		all := p.variants(profile, d.GroupOverrides)
		static := slices.ContainsFunc(all, Override.static)
		for _, one := range all {
			one.validateClashes(&found, key, d.SharedVolumes)
			for _, other := range all {
				uses = add(uses, mounted(key+"volume_mounts", one.Volumes, other.VolumeMounts)...)
				if static && one.StorageClaim != "" {
					uses = add(uses, use{key + "storage_sub_path", one.StorageClaim, other.subPath(), true})
				}
			}
		}
	}
	validateUses(&found, uses)
	for _, fault := range found {
		if !slices.Contains(*f, fault) { // each variant has what the profile has
			*f = append(*f, fault)
		}
	}
}

// add appends uses of folders that are not among uses yet.
func add(uses []use, more ...use) []use {
	for _, one := range more {
		if !slices.ContainsFunc(uses, func(u use) bool { return u.claim == one.claim && u.folder == one.folder && u.home == one.home }) {
			uses = append(uses, one)
		}
	}
	return uses
}

// mounted returns the folders of claims that mounts show.
func mounted(key string, volumes []Volume, mounts []VolumeMount) (uses []use) {
	for _, v := range volumes {
		for _, m := range mounts {
			if v.PersistentVolumeClaim != nil && m.Name == v.Name {
				uses = append(uses, use{key, v.PersistentVolumeClaim.ClaimName, path.Clean("/" + m.SubPath)[1:], false})
			}
		}
	}
	return uses
}

// validateClashes checks that none of these volumes is in a shared one's place.
func (o Override) validateClashes(f *faults, key string, shared []SharedVolume) {
	for i, v := range shared {
		for _, own := range o.Volumes {
			f.check(own.Name != sharedPrefix+v.Name, key+"volumes", "the name %q is that of shared_volumes[%d]", own.Name, i)
		}
		for _, m := range o.VolumeMounts {
			f.check(!cover(m.MountPath, v.path()), key+"volume_mounts", "%s hides or is below that of shared_volumes[%d]", m.MountPath, i)
		}
	}
}
