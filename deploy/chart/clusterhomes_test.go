//go:build cluster

package chart

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// K1, K4: with a stolen token of the spawner no pod gets another user's home than its label's.
func TestClusterPodsMountTheirUsersHomesOnly(t *testing.T) {
	pods := as(t, serviceAccount("perijove-spawner")).CoreV1().Pods(servers)
	for _, c := range []struct {
		user, server, claim string
		ok                  bool
	}{
		{"alice", "", "home-alice", true}, {"alice", "", "claim-alice", true}, {"alice", "demo", "home-alice", true},
		{"alice", "demo", "home-alice--demo", true}, {"alice", "", "course-data", true},
		{"alice", "", "home-bob", false}, {"alice", "", "claim-bob", false}, {"alice", "", "home-alice--demo", false},
		{"alice", "other", "home-alice--demo", false}, {"alice", "", "home-alice---k2svhqk3tm5kduww", false}, {"", "", "home-alice", false}, {"", "", "home-", false},
	} {
		pod := spawned(c.user)
		pod.Name = "server-" + unique()
		pod.Labels[contract.LabelUsername], pod.Labels[contract.LabelServername] = c.user, c.server
		pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName = c.claim
		pod.Spec.Containers[0].Env = nil // the secret's name follows from the pod's
		_, err := pods.Create(context.Background(), pod, dry)
		if c.ok && err != nil || !c.ok && (err == nil || !strings.Contains(err.Error(), "no home but its user's")) {
			t.Errorf("%s/%s mounts %s: %v", c.user, c.server, c.claim, err)
		}
	}
}

// B8: of claims the spawner changes and deletes only its own, and changes only their size.
func TestClusterSpawnerChangesNothingButSizes(t *testing.T) {
	ctx, admin := context.Background(), as(t, "").CoreV1().PersistentVolumeClaims(servers)
	spawner := as(t, serviceAccount("perijove-spawner")).CoreV1().PersistentVolumeClaims(servers)
	ours := spawn.Claim(spawn.Site{Namespace: servers}, spawn.Profile{}, server.ID{User: unique()})
	theirs := ours.DeepCopy()
	theirs.Name, theirs.Labels = unique(), nil
	for _, claim := range []*corev1.PersistentVolumeClaim{ours, theirs} {
		claim.Spec.StorageClassName = new("") // no volume is made for it
		if _, err := admin.Create(ctx, claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(ctx, claim.Name, metav1.DeleteOptions{}) })
	}
	try := func(name, patch string) error {
		_, err := spawner.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dry.DryRun})
		return err
	}
	if err := try(ours.Name, `{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`); err != nil {
		t.Errorf("the size that it has: %v", err)
	}
	if err := try(ours.Name, `{"metadata":{"finalizers":["kubernetes.io/pvc-protection","perijove.dev/late-home"]}}`); err != nil {
		t.Errorf("that a late home is in use: %v", err)
	}
	for what, patch := range map[string]string{
		"a label":         `{"metadata":{"labels":{"a":"b"}}}`,
		"its owner":       `{"metadata":{"annotations":{"hub.jupyter.org/username":"mallory"}}}`,
		"its deletion":    `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"x"}]}}`,
		"its finalizers":  `{"metadata":{"finalizers":["a.b/c"]}}`,
		"its protection":  `{"metadata":{"finalizers":["perijove.dev/late-home"]}}`,
		"being our claim": `{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}`,
	} {
		if err := try(ours.Name, patch); err == nil || !strings.Contains(err.Error(), "nothing of a claim but its size") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := try(theirs.Name, `{"metadata":{"labels":{"app.kubernetes.io/managed-by":"perijove-spawner"}}}`); err == nil || !strings.Contains(err.Error(), "none of the spawner's") {
		t.Errorf("another program's claim: %v", err)
	}
	if err := spawner.Delete(ctx, theirs.Name, metav1.DeleteOptions{DryRun: dry.DryRun}); err == nil || !strings.Contains(err.Error(), "none of the spawner's") {
		t.Errorf("delete another program's claim: %v", err)
	}
	if err := spawner.Delete(ctx, ours.Name, metav1.DeleteOptions{DryRun: dry.DryRun}); err != nil { // of a user who is deleted
		t.Errorf("delete a home: %v", err)
	}
}
