package spawn

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
)

// profileOf reads a profile whose override is yaml.
func profileOf(t *testing.T, yaml string) Profile {
	t.Helper()
	p := Profile{DisplayName: "Lab", Slug: "lab"}
	if err := config.Decode([]byte(yaml), &p.Override); err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	if p.Override.Image == "" {
		p.Override.Image = "example.org/lab:1"
	}
	return p
}

// keys lists what is wrong with a profile.
func keys(p Profile) (keys []string) {
	for _, f := range p.Validate() {
		keys = append(keys, strings.TrimPrefix(f.Key, "kubespawner_override."))
	}
	return keys
}

func TestProfileReportsEveryFault(t *testing.T) {
	t.Parallel()
	p := Profile{Slug: "No!", AllowedGroups: []string{" "}, Override: Override{
		ImagePullPolicy: "Sometimes", CPUGuarantee: "3", CPULimit: "2", MemGuarantee: "2G", MemLimit: "1G", StorageCapacity: "-1Gi",
		StorageClass: "No!", StorageType: "nfs", StorageHomes: "group", StorageAccessModes: []corev1.PersistentVolumeAccessMode{"ReadOnlyMany", "Any"}, StorageClaim: "No!", StorageSubPath: "..", ImagePullSecrets: []string{"ok", "No!"},
		ExtraResourceGuarantees: map[string]Amount{"nvidia.com/gpu": "2"},
		ExtraResourceLimits:     map[string]Amount{"cpu": "1", "nvidia.com/gpu": "1", "a b": "x"},
	}}
	want := []string{
		"display_name", "slug", "allowed_groups", "image", "image_pull_policy", "image_pull_secrets[1]", "cpu_limit", "mem_limit",
		"extra_resource_limits.a b", "extra_resource_limits.a b", "extra_resource_limits.cpu", "extra_resource_limits.nvidia.com/gpu",
		"storage_type", "storage_homes", "storage_capacity", "storage_class", "storage_access_modes", "storage_claim", "storage_sub_path",
	}
	if diff := cmp.Diff(want, keys(p)); diff != "" {
		t.Error(diff)
	}
}

// TestK4_EnvironmentSetsNothingOfThePlatforms: a profile cannot make a server another user's,
// nor take its configuration away.
func TestK4_EnvironmentSetsNothingOfThePlatforms(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PERIJOVE_USER", "PERIJOVE_BASE_URL", "PERIJOVE_SERVER_SECRET", "PERIJOVE_X", "HOME", "JUPYTER_CONFIG_PATH", "", "A B", "A=B", "1A"} {
		p := profileOf(t, "{}")
		p.Override.Environment = map[string]string{name: "x"}
		if got := keys(p); len(got) == 0 {
			t.Errorf("%q may be set", name)
		}
	}
	p := profileOf(t, `{environment: {LANG: C.UTF-8, N: 3, ON: true, EMPTY: , SECRET: "$(PERIJOVE_SERVER_SECRET) $x"}}`)
	if got := keys(p); len(got) > 0 {
		t.Fatal(got)
	}
	got := map[string]string{}
	for _, e := range Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: p, Nonce: nonce}).Spec.Containers[0].Env {
		got[e.Name] = e.Value
	}
	// Kubernetes makes one dollar of two, and expands nothing.
	for name, want := range map[string]string{"LANG": "C.UTF-8", "N": "3", "ON": "true", "EMPTY": "", "SECRET": "$$(PERIJOVE_SERVER_SECRET) $$x", "PERIJOVE_USER": "alice"} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
}

// TestK6_VolumesReachNeitherNodeNorHomes: no path of the node, no Secret, no other user's home,
// and nothing in the place of what the platform mounts.
func TestK6_VolumesReachNeitherNodeNorHomes(t *testing.T) {
	t.Parallel()
	for _, yaml := range []string{
		"hostPath: {path: /}", "secret: {secretName: keys}", "projected: {sources: []}", "csi: {driver: x}", "nfs: {server: x, path: /}",
		"downwardAPI: {}", "ephemeral: {}", "image: {reference: x}", "configMap: {name: x, secret: y}",
	} {
		var v Volume
		if err := config.Decode([]byte("{name: x, "+yaml+"}"), &v); err == nil {
			t.Errorf("a volume may be %s", yaml)
		}
	}
	for name, yaml := range map[string]string{
		"a home":            "{volumes: [{name: x, persistentVolumeClaim: {claimName: home-bob}}]}",
		"a home, old name":  "{volumes: [{name: x, persistentVolumeClaim: {claimName: claim-bob}}]}",
		"no kind":           "{volumes: [{name: x}]}",
		"two kinds":         "{volumes: [{name: x, emptyDir: {}, configMap: {name: y}}]}",
		"the home's name":   "{volumes: [{name: home, emptyDir: {}}]}",
		"the config's name": "{volumes: [{name: jupyter, emptyDir: {}}]}",
		"one name twice":    "{volumes: [{name: x, emptyDir: {}}, {name: x, emptyDir: {}}]}",
		"no name":           "{volumes: [{emptyDir: {}}]}",
		"a huge medium":     "{volumes: [{name: x, emptyDir: {medium: HugePages}}]}",
		"a bad mode":        "{volumes: [{name: x, configMap: {name: y, defaultMode: 4096}}]}",
		"a mount of none":   "{volume_mounts: [{name: x, mountPath: /data}]}",
		"our configuration": "{volume_mounts: [{name: jupyter, mountPath: /data}]}",
		"over all":          "{volume_mounts: [{name: home, mountPath: /}]}",
		"over the home":     "{volume_mounts: [{name: home, mountPath: /home/jovyan}]}",
		"over homes":        "{volume_mounts: [{name: home, mountPath: /home}]}",
		"over etc":          "{volume_mounts: [{name: home, mountPath: /etc}]}",
		"over our config":   "{volume_mounts: [{name: home, mountPath: /etc/perijove/jupyter}]}",
		"in our config":     "{volume_mounts: [{name: home, mountPath: /etc/perijove/jupyter/jupyter_server_config.d}]}",
		"a relative path":   "{volume_mounts: [{name: home, mountPath: data}]}",
		"a path that steps": "{volume_mounts: [{name: home, mountPath: /data/../etc}]}",
		"a colon":           "{volume_mounts: [{name: home, mountPath: \"/data:/etc\"}]}",
		"outside":           "{volume_mounts: [{name: home, mountPath: /data, subPath: ../bob}]}",
		"one path twice":    "{volume_mounts: [{name: home, mountPath: /data}, {name: home, mountPath: /data}]}",
	} {
		if got := keys(profileOf(t, yaml)); len(got) == 0 {
			t.Errorf("%s is accepted", name)
		}
	}
	good := profileOf(t, `
volumes:
- {name: shared, persistentVolumeClaim: {claimName: course-data, readOnly: true}}
- {name: settings, configMap: {name: settings, items: [{key: a, path: b}], defaultMode: 0444, optional: true}}
- {name: shm, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
volume_mounts:
- {name: shared, mountPath: /home/jovyan/shared, readOnly: true}
- {name: settings, mountPath: /etc/settings}
- {name: shm, mountPath: /dev/shm}
- {name: home, mountPath: /work, subPath: work}
`)
	if got := good.Validate(); len(got) > 0 {
		t.Errorf("negative control: %v", got)
	}
}

func TestTolerationsAndNodes(t *testing.T) {
	t.Parallel()
	for name, yaml := range map[string]string{
		"operator":       "{tolerations: [{key: a, operator: In}]}",
		"effect":         "{tolerations: [{key: a, effect: Never}]}",
		"no key":         "{tolerations: [{operator: Equal, value: x}]}",
		"exists a value": "{tolerations: [{key: a, operator: Exists, value: x}]}",
		"seconds":        "{tolerations: [{key: a, operator: Exists, tolerationSeconds: 3}]}",
		"a bad key":      "{tolerations: [{key: a b, operator: Exists}]}",
		"a bad value":    "{tolerations: [{key: a, value: a b}]}",
		"a node's key":   "{node_selector: {a b: x}}",
		"a node's value": "{node_selector: {a: x y}}",
	} {
		if got := keys(profileOf(t, yaml)); len(got) == 0 {
			t.Errorf("%s is accepted", name)
		}
	}
	p := profileOf(t, `{node_selector: {pool: "true"}, tolerations: [{operator: Exists}, {key: gpu, value: "yes", effect: NoExecute, tolerationSeconds: 60}]}`)
	if got := p.Validate(); len(got) > 0 {
		t.Errorf("negative control: %v", got)
	}
}

// TestEphemeralStorageIsBounded: by default, with a home on the node's disk too; unless
// the administrator says otherwise. The request stays small, or no node has room.
func TestEphemeralStorageIsBounded(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string][2]string{
		"{}": {"0", "10Gi"},
		"{storage_type: none, storage_capacity: 5Gi}":                                                            {"0", "15Gi"},
		"{extra_resource_limits: {ephemeral-storage: 2Gi}}":                                                      {"0", "2Gi"},
		"{extra_resource_limits: {ephemeral-storage: 2Gi}, extra_resource_guarantees: {ephemeral-storage: 1Gi}}": {"1Gi", "2Gi"},
		"{extra_resource_limits: {ephemeral-storage: 0}}":                                                        {"none", "none"},
	} {
		r := profileOf(t, yaml).Override.resources()
		for i, list := range []corev1.ResourceList{r.Requests, r.Limits} {
			got := "none"
			if q, ok := list[corev1.ResourceEphemeralStorage]; ok {
				got = q.String()
			}
			if got != want[i] {
				t.Errorf("%s: %s, want %v", yaml, got, want)
			}
		}
	}
}
