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
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
)

// changed are pods that the spawner's account tries to change.
type changed struct {
	*testing.T
	space string
	pods  typedcorev1.PodInterface // as the spawner
}

// refusal is what the policy says.
const refusal = "changed in no other way"

func newChanged(t *testing.T) changed {
	account, space := serviceAccount("perijove-spawner"), space(t)
	grant(t, space, account)
	return changed{t, space, as(t, account).CoreV1().Pods(space)}
}

// made makes a user's pod, which may be idle for an hour.
func (c changed) made(user string, change func(*corev1.Pod)) *corev1.Pod {
	c.Helper()
	pod := spawned(user)
	pod.Namespace = c.space
	pod.Annotations[contract.AnnotationCullIdle] = "1h0m0s"
	change(pod)
	root := as(c.T, "").CoreV1().Pods(c.space)
	made, err := root.Create(context.Background(), pod, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		_ = root.Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
	return made
}

func (c changed) patch(pod *corev1.Pod, with map[string]any) error {
	c.Helper()
	text, err := json.Marshal(with)
	if err != nil {
		c.Fatal(err)
	}
	_, err = c.pods.Patch(context.Background(), pod.Name, types.StrategicMergePatchType, text, metav1.PatchOptions{DryRun: dry.DryRun})
	return err
}

// end ends a pod as the culler does. The scheduler and the kubelet change it meanwhile.
func (c changed) end(pod *corev1.Pod) error {
	c.Helper()
	for {
		now, err := as(c.T, "").CoreV1().Pods(c.space).Get(context.Background(), pod.Name, metav1.GetOptions{})
		if err != nil {
			c.Fatal(err)
		}
		if err := c.patch(now, spawn.Culled(now)); !apierrors.IsConflict(err) {
			return err
		}
	}
}

func (c changed) refused(what string, err error) {
	c.Helper()
	if err == nil || !strings.Contains(err.Error(), refusal) {
		c.Errorf("%s: want the policy's refusal, have %v", what, err)
	}
}

func annotations(key string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{"annotations": map[string]any{key: value}}}
}

// K4, K12: the spawner may end a server that is not in use. A stolen token of it changes a user's
// pod in no other way: not its image, not its owner, not the secret that it expects.
func TestClusterSpawnerChangesNoPod(t *testing.T) {
	c := newChanged(t)
	pod := c.made("alice", func(*corev1.Pod) {})
	if err := c.end(pod); err != nil {
		t.Errorf("negative control: an idle server is not ended: %v", err)
	}
	stale := pod.DeepCopy()
	stale.UID = "another"
	if err := c.patch(stale, spawn.Culled(stale)); err == nil {
		t.Error("a pod that has replaced the idle one is ended")
	}
	for _, at := range []string{"2026-11-26T08:00:00Z", "2026-11-26T09:00:00Z"} {
		if err := c.patch(pod, annotations(contract.AnnotationLastActivity, at)); err != nil {
			t.Errorf("negative control: a report of use is not written: %v", err)
		}
	}
	labels := func(key string, value any) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{key: value}}}
	}
	for what, with := range map[string]map[string]any{
		"the image":            {"spec": map[string]any{"containers": []any{map[string]any{"name": "notebook", "image": "thief"}}}},
		"the owner":            annotations(contract.LabelUsername, "bob"),
		"the owner's label":    labels(contract.LabelUsername, "bob"),
		"a label taken away":   labels(contract.LabelManagedBy, nil),
		"the nonce":            annotations(contract.AnnotationNonce, "abcdefghijklmnoq"),
		"the nonce taken away": annotations(contract.AnnotationNonce, nil),
		"a new annotation":     annotations(contract.AnnotationPort, "22"),
	} {
		c.refused(what, c.patch(pod, with))
	}
}

// K4, K12: of pods that it did not make the spawner ends those that are published and say that they
// may be ended, and changes nothing else of them.
func TestClusterSpawnerEndsNoOthersPod(t *testing.T) {
	c := newChanged(t)
	foreign := func(p *corev1.Pod) { delete(p.Labels, contract.LabelManagedBy) }
	offered := c.made("alice", foreign)
	if err := c.end(offered); err != nil {
		t.Errorf("negative control: a published pod that says for how long it may be idle is not ended: %v", err)
	}
	c.refused("its port", c.patch(offered, annotations(contract.AnnotationPort, "22")))
	c.refused("one that does not say so", c.end(c.made("bob", func(p *corev1.Pod) {
		foreign(p)
		delete(p.Annotations, contract.AnnotationCullIdle)
	})))
	c.refused("one that is not published", c.end(c.made("emil", func(p *corev1.Pod) {
		foreign(p)
		delete(p.Labels, contract.LabelUsername)
	})))
}
