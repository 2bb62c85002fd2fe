package spawn

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
)

// homeOf returns the claim and the folder of a pod's home.
func homeOf(t *testing.T, pod *corev1.Pod) (claim, folder string) {
	t.Helper()
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if m.MountPath != homePath {
			continue
		}
		for _, v := range pod.Spec.Volumes {
			if v.Name == m.Name && v.PersistentVolumeClaim != nil {
				return v.PersistentVolumeClaim.ClaimName, m.SubPath
			}
		}
	}
	t.Fatalf("%s has no home", pod.Name)
	return "", ""
}

// TestHomes: which volume or folder of one is a server's home.
func TestHomes(t *testing.T) {
	t.Parallel()
	lab, demo := server.ID{User: "alice"}, server.ID{User: "alice", Name: "My demo"}
	for name, c := range map[string]struct {
		yaml          string
		id            server.ID
		claim, folder string
	}{
		"of the user":                           {"{}", lab, "home-alice", ""},
		"of the user, a named server":           {"{storage_homes: user}", demo, "home-alice", ""},
		"of the server, the default one":        {"{storage_homes: server}", lab, "home-alice", ""},
		"of the server":                         {"{storage_homes: server}", demo, "home-alice--my-demo---tmumnsufqtzkgg7i", ""},
		"a folder":                              {"{storage_type: static, storage_claim: nfs}", lab, "nfs", "alice"},
		"a folder, a named server":              {"{storage_type: static, storage_claim: nfs}", demo, "nfs", "alice"},
		"a folder of the server, default":       {"{storage_type: static, storage_claim: nfs, storage_homes: server}", lab, "nfs", "alice"},
		"a folder of the server":                {"{storage_type: static, storage_claim: nfs, storage_homes: server}", demo, "nfs", "alice--my-demo---tmumnsufqtzkgg7i"},
		"a folder in folders":                   {"{storage_type: static, storage_claim: nfs, storage_sub_path: \"home/u-{username}/lab\"}", lab, "nfs", "home/u-alice/lab"},
		"a claim that dynamic homes do without": {"{storage_claim: nfs}", lab, "home-alice", ""},
	} {
		p := profileOf(t, c.yaml)
		if faults := p.Validate(); len(faults) > 0 {
			t.Fatal(faults)
		}
		claim, folder := homeOf(t, Pod(site, Spec{ID: c.id, Profile: p, Nonce: nonce}))
		if claim != c.claim || folder != c.folder {
			t.Errorf("%s: the folder %q of %s, want %q of %s", name, folder, claim, c.folder, c.claim)
		}
		if p.Override.HasVolume() && Claim(site, p, c.id).Name != claim {
			t.Errorf("%s: the spawner makes %s", name, Claim(site, p, c.id).Name)
		}
	}
}

// TestK1_HomesAreOneOwners: names that are hostile as paths, labels or names of others lead to
// folders and claims that are inside the volume, plain, and no other owner's.
func TestK1_HomesAreOneOwners(t *testing.T) {
	t.Parallel()
	users := []string{
		"alice", "Alice", "..", ".", "../alice", "alice/..", "a/b", "/", "alice--demo", "alice---demo", "张三", "Zoë", "a b", "$(HOME)", "{username}", "\u202ealice",
		"alice\\..", "alice.", "-", "--", "ALICE", "home", "homes", strings.Repeat("a", 250),
	}
	dynamic := profileOf(t, "{storage_homes: server}")
	static := profileOf(t, "{storage_type: static, storage_claim: nfs, storage_homes: server, storage_sub_path: \"homes/{username}\"}")
	seen := map[string]server.ID{}
	for _, user := range users {
		for _, name := range []string{"", "demo", "..", "../../bob", "-demo", "--demo", "Demo"} {
			id := server.ID{User: user, Name: name}
			claim, _ := homeOf(t, Pod(site, Spec{ID: id, Profile: dynamic, Nonce: nonce}))
			_, folder := homeOf(t, Pod(site, Spec{ID: id, Profile: static, Nonce: nonce}))
			if path.Dir(folder) != "homes" || path.Clean(folder) != folder || strings.Trim(path.Base(folder), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				t.Errorf("%s: the folder is %q", id, folder)
			}
			for _, one := range []string{claim, folder} {
				if other, ok := seen[one]; ok && other != id {
					t.Errorf("%v and %v share %s", id, other, one)
				}
				seen[one] = id
			}
		}
	}
}

// TestK1_OwnsClaim: no claim of one is taken for another's, whatever its name.
func TestK1_OwnsClaim(t *testing.T) {
	t.Parallel()
	p := profileOf(t, "{storage_homes: server}")
	ids := []server.ID{{User: "alice"}, {User: "alice", Name: "demo"}, {User: "alice", Name: "Demo"}, {User: "alice--demo"}, {User: "bob", Name: "demo"}, {User: "demo"}}
	for _, made := range ids {
		for _, id := range ids {
			claim := Claim(site, p, made)
			if OwnsClaim(claim, id) != (made == id) {
				t.Errorf("the home of %s is that of %s: %v", made, id, OwnsClaim(claim, id))
			}
			claim.Labels = nil
			if OwnsClaim(claim, id) {
				t.Errorf("a claim that the spawner did not make is the home of %s", id)
			}
		}
	}
}

func TestStaticSubPath(t *testing.T) {
	t.Parallel()
	for template, ok := range map[string]bool{
		"{username}": true, "homes/{username}": true, "{username}/lab": true, "u_{username}.d": true, "A/b-c/{username}": true,
		"":      true, // the default
		"homes": false, "..": false, ".": false, "../{username}": false, "{username}/..": false, "a/../{username}": false, "/{username}": false,
		"{username}/": false, "a//{username}": false, "./{username}": false, ".{username}": false, "{username}{username}": false, "{username}/{username}": false,
		"{servername}": false, "{unescaped_username}": false, "{user}": false, "$(HOME)/{username}": false, "a b/{username}": false, "a\\{username}": false,
		"{username}\n": false, "{username}\x00": false, "ä/{username}": false, "{{username}}": false,
	} {
		p := Profile{DisplayName: "Lab", Slug: "lab", Override: Override{Image: "a", StorageType: "static", StorageClaim: "nfs", StorageSubPath: template}}
		if got := keys(p); (len(got) == 0) != ok {
			t.Errorf("%q: %v", template, got)
		}
	}
}

func TestStorageIsChecked(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{storage_type: static, storage_claim: nfs}":                "",
		"{storage_type: static}":                                    "storage_claim",
		"{storage_type: static, storage_claim: home-bob}":           "storage_claim",
		"{storage_type: static, storage_claim: claim-bob}":          "storage_claim",
		"{storage_type: dynamic, storage_claim: A}":                 "storage_claim",
		"{storage_access_modes: [ReadWriteMany]}":                   "",
		"{storage_access_modes: [ReadWriteOnce, ReadOnlyMany]}":     "",
		"{storage_access_modes: [ReadWriteOncePod]}":                "",
		"{storage_access_modes: []}":                                "",
		"{storage_access_modes: [ReadOnlyMany]}":                    "storage_access_modes",
		"{storage_access_modes: [RWX]}":                             "storage_access_modes",
		"{storage_access_modes: [readwritemany]}":                   "storage_access_modes",
		"{storage_access_modes: [ReadWriteOncePod, ReadWriteOnce]}": "storage_access_modes",
		"{storage_homes: group}":                                    "storage_homes",
		// K4: the kubelet follows a link that the user makes within the volume.
		"{storage_type: static, storage_claim: nfs, volume_mounts: [{name: home, mountPath: /work, subPath: work}]}": "volume_mounts[0].subPath",
		"{storage_type: static, storage_claim: nfs, volume_mounts: [{name: home, mountPath: /work}]}":                "",
		"{storage_type: dynamic, volume_mounts: [{name: home, mountPath: /work, subPath: work}]}":                    "",
	} {
		if got := strings.Join(keys(profileOf(t, yaml)), " "); got != want {
			t.Errorf("%s: %q, want %q", yaml, got, want)
		}
	}
	p := profileOf(t, "{storage_type: static, storage_claim: nfs, volume_mounts: [{name: home, mountPath: /work}]}")
	mounts := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: p, Nonce: nonce}).Spec.Containers[0].VolumeMounts
	if got := mounts[len(mounts)-1]; got.MountPath != "/work" || got.SubPath != "alice" {
		t.Errorf("the home's second mount shows %q", got.SubPath)
	}
	if got := p.Override.Storage(); got != "" {
		t.Errorf("the form promises %s of a volume that all share", got)
	}
}

// TestK4_NothingMeetsHomes: no other mount of the volume with the homes shows one of them, or can
// be led to one by a link.
func TestK4_NothingMeetsHomes(t *testing.T) {
	t.Parallel()
	const static = "storage_type: static, storage_claim: nfs"
	mount := func(subPath string) string {
		return "volumes: [{name: x, persistentVolumeClaim: {claimName: nfs}}], volume_mounts: [{name: x, mountPath: /x, subPath: \"" + subPath + "\"}]"
	}
	shared := func(subPath string) string {
		return "shared_volumes: [{name: x, claim: nfs, subPath: \"" + subPath + "\", readers: [\"*\"]}]\n"
	}
	two := func(base, a, b string) string {
		return "base: {image: a, " + base + "}\nprofiles: [{display_name: A, kubespawner_override: {" + a + "}}, {display_name: B, kubespawner_override: {" + b + "}}]"
	}
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"all of the volume, shared":            {shared("") + two(static, "", ""), false},
		"a folder that a user's may be":        {shared("public") + two(static, "", ""), false},
		"a folder in one that a user's may be": {shared("public/data") + two(static, "", ""), false},
		"in capital letters":                   {shared("PUBLIC") + two(static, "", ""), false},
		"a folder that no user's is":           {shared("_public") + two(static, "", ""), true},
		"the folder of homes":                  {shared("homes") + two(static+", storage_sub_path: \"homes/{username}\"", "", ""), false},
		"in the folder of homes":               {shared("homes/bob") + two(static+", storage_sub_path: \"homes/{username}\"", "", ""), false},
		"beside the folder of homes":           {shared("groups/physics") + two(static+", storage_sub_path: \"homes/{username}\"", "", ""), true},
		"a name that begins alike":             {shared("homes2") + two(static+", storage_sub_path: \"homes/{username}\"", "", ""), true},
		"a profile's own mount":                {two(static, mount("bob"), ""), false},
		"another profile's mount":              {two("", static, mount("")), false},
		"another profile's mount beside":       {two("", static+", storage_sub_path: \"homes/{username}\"", mount("data")), true},
		"two templates, one in the other":      {two(static, "storage_sub_path: \"{username}\"", "storage_sub_path: \"{username}/lab\""), false},
		"two templates, a user called homes":   {two(static, "storage_sub_path: \"{username}\"", "storage_sub_path: \"homes/{username}\""), false},
		"two templates apart":                  {two(static, "storage_sub_path: \"a/{username}\"", "storage_sub_path: \"b/{username}\""), true},
		"two templates on two claims":          {two("", static, "storage_type: static, storage_claim: other, storage_sub_path: \"homes/{username}\""), true},
		"no static homes":                      {shared("") + two("storage_claim: nfs", "", ""), true},
		"an override makes them static": {shared("") + two("storage_claim: nfs", "", "") +
			"\ngroup_overrides: {a: {groups: [x], spawner_override: {storage_type: static}}}", false},
		"a choice makes them static": {shared("") + `
base: {image: a, storage_claim: nfs}
profiles: [{display_name: A, profile_options: {o: {choices: {x: {display_name: X, kubespawner_override: {storage_type: static}}}}}}]`, false},
		"a choice moves them": {shared("groups") + `
base: {image: a, storage_type: static, storage_claim: nfs, storage_sub_path: "homes/{username}"}
profiles: [{display_name: A, profile_options: {o: {choices: {x: {display_name: X, kubespawner_override: {storage_sub_path: "{username}"}}}}}}]`, false},
	} {
		var d Document
		if err := config.Decode([]byte(c.text), &d); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, c.text)
		}
		if _, faults := d.Policy(); (len(faults) == 0) != c.ok {
			t.Errorf("%s: %v", name, faults)
		}
	}
}

// TestEnlarge: a home grows to what the profile wants, and never shrinks.
func TestEnlarge(t *testing.T) {
	t.Parallel()
	want := Claim(site, profileOf(t, "{storage_capacity: 10Gi}"), server.ID{User: "alice"})
	for name, c := range map[string]struct {
		size  string
		phase corev1.PersistentVolumeClaimPhase
		grows bool
	}{
		"smaller":              {"9Gi", corev1.ClaimBound, true},
		"as large":             {"10Gi", corev1.ClaimBound, false},
		"as large, in bytes":   {"10737418240", corev1.ClaimBound, false},
		"larger":               {"20Gi", corev1.ClaimBound, false},
		"without a volume yet": {"1Gi", corev1.ClaimPending, false},
		"whose volume is lost": {"1Gi", corev1.ClaimLost, false},
	} {
		have := want.DeepCopy()
		have.ResourceVersion, have.Status.Phase = "7", c.phase
		have.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(c.size)
		patch, ok := Enlarge(have, want)
		if ok != c.grows || ok != (patch != nil) {
			t.Errorf("%s: %s, %v", name, patch, ok)
		}
		if !ok {
			continue
		}
		var got any
		if err := json.Unmarshal(patch, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]any{
			"metadata": map[string]any{"resourceVersion": "7"},
			"spec":     map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "10Gi"}}},
		}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestHomeThatStaysSmall: the pod's page says so; what the API said is shown as it is.
func TestHomeThatStaysSmall(t *testing.T) {
	t.Parallel()
	p := profileOf(t, "{storage_capacity: 10Gi}")
	id := server.ID{User: "alice"}
	have := Claim(site, profileOf(t, "{storage_capacity: 5Gi}"), id)
	have.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("6Gi")}
	pod := Pod(site, Spec{ID: id, Profile: p, Nonce: nonce, Small: TooSmall(have, Claim(site, p, id), "the <class>\nforbids it")})
	want := Step{Percent: percentRequested, Message: MsgHomeSize, Data: map[string]string{"Have": "6 GiB", "Want": "10 GiB"}, Detail: "the <class> forbids it"}
	if diff := cmp.Diff(want, report(pod, nil)[1]); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"", "{", "[]", "{}", "null"} {
		pod.Annotations["perijove.dev/home-size"] = text
		if got := report(pod, nil); len(got) != 1 {
			t.Errorf("%q: %v", text, got)
		}
	}
}
