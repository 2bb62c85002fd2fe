package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// example reads the volumes and claims of examples/, as strictly as an API server with
// fieldValidation=Strict, by name.
func example(t *testing.T) (volumes map[string]corev1.PersistentVolume, claims map[string]corev1.PersistentVolumeClaim) {
	t.Helper()
	volumes, claims = map[string]corev1.PersistentVolume{}, map[string]corev1.PersistentVolumeClaim{}
	files, err := filepath.Glob("examples/nfs-*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var v corev1.PersistentVolume
			var c corev1.PersistentVolumeClaim
			if yaml.UnmarshalStrict([]byte(document), &v) == nil && v.Kind == "PersistentVolume" {
				volumes[v.Name] = v
			} else if err := yaml.UnmarshalStrict([]byte(document), &c); err != nil || c.Kind != "PersistentVolumeClaim" {
				t.Fatalf("%s: %v, a %s", file, err, c.Kind)
			} else {
				claims[c.Name] = c
			}
		}
	}
	return volumes, claims
}

// Each example's claim is bound to its volume and to no other.
func testExamples(t *testing.T, helm string) {
	volumes, claims := example(t)
	for name, c := range claims {
		v, ok := volumes[c.Spec.VolumeName]
		if !ok || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Name != name || v.Spec.ClaimRef.Namespace != c.Namespace || c.Namespace != "perijove-servers" {
			t.Errorf("%s in %s is not bound to a volume of its own", name, c.Namespace)
			continue
		}
		if c.Spec.StorageClassName == nil || *c.Spec.StorageClassName != "" || v.Spec.StorageClassName != "" {
			t.Errorf("%s waits for a StorageClass's provisioner", name)
		}
		if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || v.Spec.NFS == nil {
			t.Errorf("the volume of %s: %+v", name, v.Spec)
		}
		size := v.Spec.Capacity[corev1.ResourceStorage]
		if size.Cmp(c.Spec.Resources.Requests[corev1.ResourceStorage]) < 0 || !slices.Equal(c.Spec.AccessModes, v.Spec.AccessModes) {
			t.Errorf("%s does not fit its volume", name)
		}
	}
	due := policy(t, helm, "-f", "examples/storage.values.yaml")
	for group, want := range map[string][]string{
		"":        {"nfs-data maps ro", "nfs-homes homes/alice rw"},
		"staff":   {"nfs-data maps ro", "nfs-homes homes/alice rw", "nfs-physics  ro"},
		"physics": {"nfs-data maps ro", "nfs-homes homes/alice rw", "nfs-physics  rw"},
	} {
		p, err := due.Resolve(access.User{Name: "alice", Groups: []string{group}}, spawn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pod := spawn.Pod(spawn.Site{}, spawn.Spec{ID: server.ID{User: "alice"}, Profile: p, Nonce: "abcdefghijkl"})
		var have []string
		for _, m := range pod.Spec.Containers[0].VolumeMounts {
			for _, v := range pod.Spec.Volumes {
				if claim := v.PersistentVolumeClaim; v.Name == m.Name && claim != nil {
					mode := map[bool]string{true: "ro", false: "rw"}[claim.ReadOnly || m.ReadOnly]
					have = append(have, claim.ClaimName+" "+m.SubPath+" "+mode)
					if _, ok := claims[claim.ClaimName]; !ok {
						t.Errorf("no example makes the claim %s", claim.ClaimName)
					}
				}
			}
		}
		if slices.Sort(have); !slices.Equal(have, want) {
			t.Errorf("%q: mounts %q, want %q", group, have, want)
		}
	}
}
