package spawn

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

const sharedDocument = `
base: {image: "example.org/lab:1"}
shared_volumes:
- {name: physics, claim: group-physics, writers: [Physics], readers: [staff]}
- {name: data, claim: datasets, mountPath: /data, subPath: public, readers: ["*"]}
- {name: scratch, claim: scratch, writers: ["*"]}
- {name: secret, claim: datasets, mountPath: /home/jovyan/secret, subPath: closed, writers: [staff], readers: [physics]}
profiles: [{display_name: Lab}]
`

// mountsOf returns the mounts of a pod's claims: path, claim and folder, and ro or rw.
func mountsOf(pod *corev1.Pod) map[string]string {
	claims := map[string]*corev1.PersistentVolumeClaimVolumeSource{}
	for _, v := range pod.Spec.Volumes {
		claims[v.Name] = v.PersistentVolumeClaim
	}
	out := map[string]string{}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		claim := claims[m.Name]
		if claim == nil || m.MountPath == homePath {
			continue
		}
		mode := " rw"
		if claim.ReadOnly || m.ReadOnly {
			mode = " ro"
		}
		out[m.MountPath] = claim.ClaimName + "/" + m.SubPath + mode
	}
	return out
}

// TestSharedVolumes: what a server gets follows from its user's groups at the start.
func TestSharedVolumes(t *testing.T) {
	t.Parallel()
	policy := readPolicy(t, sharedDocument)
	all := map[string]string{"/data": "datasets/public ro", "/shared/scratch": "scratch/ rw"}
	for name, c := range map[string]struct {
		groups []string
		more   map[string]string
	}{
		"no groups, or an administrator who starts for another user": {nil, nil},
		"a group of no volume": {[]string{"chess", "phys", ""}, nil},
		"a group called *":     {[]string{"*"}, nil},
		"a writer here, a reader there": {[]string{"physics"}, map[string]string{
			"/shared/physics": "group-physics/ rw", "/home/jovyan/secret": "datasets/closed ro",
		}},
		"another case, other blanks": {[]string{" STAFF "}, map[string]string{
			"/shared/physics": "group-physics/ ro", "/home/jovyan/secret": "datasets/closed rw",
		}},
		"writing goes before reading": {[]string{"staff", "physics"}, map[string]string{
			"/shared/physics": "group-physics/ rw", "/home/jovyan/secret": "datasets/closed rw",
		}},
	} {
		p, err := policy.Resolve(access.User{Name: "alice", Groups: c.groups}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, list := range []map[string]string{all, c.more} {
			for at, what := range list {
				want[at] = what
			}
		}
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: p, Nonce: nonce})
		if diff := cmp.Diff(want, mountsOf(pod)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if len(policy.Profiles[0].Override.Volumes) != 0 {
		t.Error("one user's volumes are in everybody's profile")
	}
}

// TestOneVolumeForOneClaim: a kubelet mounts one of two volumes of one claim only. A mount that is
// read-only stays so beside one that is not.
func TestOneVolumeForOneClaim(t *testing.T) {
	t.Parallel()
	p, err := readPolicy(t, sharedDocument).Resolve(access.User{Groups: []string{"staff"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: p, Nonce: nonce})
	claims := map[string]int{}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claims[v.PersistentVolumeClaim.ClaimName]++
		}
	}
	if want := map[string]int{"home-alice": 1, "group-physics": 1, "datasets": 1, "scratch": 1}; !cmp.Equal(claims, want) {
		t.Errorf("volumes by claim: %v", claims)
	}
	if got := mountsOf(pod); got["/data"] != "datasets/public ro" || got["/home/jovyan/secret"] != "datasets/closed rw" {
		t.Errorf("mounts: %v", got)
	}
}

func TestSharedVolumesReportEveryFault(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ volumes, want string }{
		"no name":              {"{claim: c, readers: [a]}", "shared_volumes[0].name"},
		"a bad name":           {"{name: A b, claim: c, readers: [a], mountPath: /x}", "shared_volumes[0].name"},
		"a name too long":      {"{name: " + strings.Repeat("a", 57) + ", claim: c, readers: [a]}", "shared_volumes[0].name"},
		"one name twice":       {"{name: a, claim: c, readers: [a]}, {name: a, claim: d, readers: [a], mountPath: /x}", "shared_volumes[1].name"},
		"no claim":             {"{name: a, readers: [a]}", "shared_volumes[0].claim"},
		"a home":               {"{name: a, claim: home-bob, readers: [a]}", "shared_volumes[0].claim"},
		"a home, old name":     {"{name: a, claim: claim-bob, readers: [a]}", "shared_volumes[0].claim"},
		"outside":              {"{name: a, claim: c, readers: [a], subPath: ../x}", "shared_volumes[0].subPath"},
		"an absolute folder":   {"{name: a, claim: c, readers: [a], subPath: /x}", "shared_volumes[0].subPath"},
		"a folder that steps":  {"{name: a, claim: c, readers: [a], subPath: x/./y}", "shared_volumes[0].subPath"},
		"the volume itself":    {"{name: a, claim: c, readers: [a], subPath: .}", "shared_volumes[0].subPath"},
		"a relative place":     {"{name: a, claim: c, readers: [a], mountPath: x}", "shared_volumes[0].mountPath"},
		"the home's place":     {"{name: a, claim: c, readers: [a], mountPath: /home/jovyan}", "shared_volumes[0].mountPath"},
		"over homes":           {"{name: a, claim: c, readers: [a], mountPath: /home}", "shared_volumes[0].mountPath"},
		"over all":             {"{name: a, claim: c, readers: [a], mountPath: /}", "shared_volumes[0].mountPath"},
		"in our configuration": {"{name: a, claim: c, readers: [a], mountPath: /etc/perijove/jupyter/x}", "shared_volumes[0].mountPath"},
		"one place twice":      {"{name: a, claim: c, readers: [a], mountPath: /x}, {name: b, claim: d, readers: [a], mountPath: /x}", "shared_volumes[1].mountPath"},
		"one in another":       {"{name: a, claim: c, readers: [a], mountPath: /x/y}, {name: b, claim: d, readers: [a], mountPath: /x}", "shared_volumes[1].mountPath"},
		"nobody":               {"{name: a, claim: c}", "shared_volumes[0].readers"},
		"a nameless reader":    {`{name: a, claim: c, readers: [" "]}`, "shared_volumes[0].readers"},
		"a nameless writer":    {`{name: a, claim: c, readers: [a], writers: [""]}`, "shared_volumes[0].writers"},
		"a profile's name":     {"{\"name\": x, claim: c, readers: [a]}", "profiles[0].kubespawner_override.volumes"},
		"a profile's place":    {"{name: a, claim: c, readers: [a], mountPath: /data/x}", "profiles[0].kubespawner_override.volume_mounts"},
		"a folder in another":  {"{name: a, claim: c, subPath: x/y, readers: [a]}, {name: b, claim: c, subPath: x, writers: [b]}", "shared_volumes[1].subPath"},
		"a profile's folder":   {"{name: a, claim: c, subPath: p/q, readers: [a]}", "profiles[0].kubespawner_override.volume_mounts"},
		"a choice's place":     {"{name: a, claim: c, readers: [a], mountPath: /choice}", "profiles[0].kubespawner_override.volume_mounts"},
	} {
		text := "base: {image: a, volumes: [{name: x, emptyDir: {}}, {name: p, persistentVolumeClaim: {claimName: c}}], volume_mounts: [{name: x, mountPath: /data}, {name: p, mountPath: /p, subPath: p}]}\nshared_volumes: [" + c.volumes + `]
profiles:
- display_name: A
  profile_options: {o: {choices: {x: {display_name: X, kubespawner_override: {volume_mounts: [{name: x, mountPath: /choice}]}}}}}
`
		if name == "a profile's name" {
			text = strings.ReplaceAll(text, "name: x", "name: shared-x")
		}
		if keys := faultKeys(t, text); !slices.Contains(keys, c.want) {
			t.Errorf("%s: %v, want %s", name, keys, c.want)
		}
	}
	if _, faults := (Document{SharedVolumes: []SharedVolume{{}, {}}}).Policy(); len(faults) < 7 {
		t.Errorf("not every fault is told: %v", faults)
	}
}
