//go:build cluster

package chart

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
)

// K4, K12: the spawner may end a server that is not in use. A stolen token of it changes a user's
// pod in no other way: not its image, not its owner, not the secret that it expects.
func TestClusterSpawnerChangesNoPod(t *testing.T) {
	ctx, account, space := context.Background(), serviceAccount("perijove-spawner"), space(t)
	grant(t, space, account)
	pods := as(t, account).CoreV1().Pods(space)
	make := func(user string, change func(*corev1.Pod)) *corev1.Pod {
		pod := spawned(user)
		pod.Namespace = space
		pod.Annotations[contract.AnnotationCullIdle] = "1h0m0s"
		change(pod)
		made, err := as(t, "").CoreV1().Pods(space).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = as(t, "").CoreV1().Pods(space).Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
		})
		return made
	}
	patch := func(pod *corev1.Pod, with map[string]any) error {
		text, err := json.Marshal(with)
		if err != nil {
			t.Fatal(err)
		}
		_, err = pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{DryRun: dry.DryRun})
		return err
	}
	// end ends a pod as the culler does. The scheduler and the kubelet change it meanwhile.
	end := func(pod *corev1.Pod) error {
		for {
			now, err := as(t, "").CoreV1().Pods(space).Get(ctx, pod.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := patch(now, spawn.Culled(now)); !apierrors.IsConflict(err) {
				return err
			}
		}
	}
	pod := make("alice", func(*corev1.Pod) {})
	foreign := make("bob", func(p *corev1.Pod) {
		delete(p.Labels, contract.LabelManagedBy)
		delete(p.Annotations, contract.AnnotationCullIdle)
	})
	hidden := make("emil", func(p *corev1.Pod) {
		delete(p.Labels, contract.LabelManagedBy)
		delete(p.Labels, contract.LabelUsername)
	})
	if err := end(pod); err != nil {
		t.Errorf("negative control: an idle server is not ended: %v", err)
	}
	stale := pod.DeepCopy()
	stale.UID = "another"
	if err := patch(stale, spawn.Culled(stale)); err == nil {
		t.Error("a pod that has replaced the idle one is ended")
	}
	annotations := func(key string, value any) map[string]any {
		return map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}}
	}
	for _, at := range []string{"2026-11-26T08:00:00Z", "2026-11-26T09:00:00Z"} {
		if err := patch(pod, annotations(contract.AnnotationLastActivity, at)); err != nil {
			t.Errorf("negative control: a report of use is not written: %v", err)
		}
	}
	labels := func(key string, value any) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}}
	}
	const refusal = "changed in no other way"
	offered := make("dora", func(p *corev1.Pod) { delete(p.Labels, contract.LabelManagedBy) })
	if err := end(offered); err != nil {
		t.Errorf("a published pod that says for how long it may be idle is not ended: %v", err)
	}
	if err := patch(offered, annotations(contract.AnnotationPort, "22")); err == nil || !strings.Contains(err.Error(), refusal) {
		t.Errorf("its port: want the policy's refusal, have %v", err)
	}
	for _, p := range []*corev1.Pod{foreign, hidden} {
		if err := end(p); err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("another program's pod %s: want the policy's refusal, have %v", p.Name, err)
		}
	}
	for what, with := range map[string]map[string]any{
		"the image":            map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "notebook", "image": "thief"}}}},
		"the owner":            annotations(contract.LabelUsername, "bob"),
		"the owner's label":    labels(contract.LabelUsername, "bob"),
		"a label taken away":   labels(contract.LabelManagedBy, nil),
		"the nonce":            annotations(contract.AnnotationNonce, "abcdefghijklmnoq"),
		"the nonce taken away": annotations(contract.AnnotationNonce, nil),
		"a new annotation":     annotations(contract.AnnotationPort, "22"),
	} {
		if err := patch(pod, with); err == nil || !strings.Contains(err.Error(), refusal) {
			t.Errorf("%s: want the policy's refusal, have %v", what, err)
		}
	}
}
