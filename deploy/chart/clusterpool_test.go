//go:build cluster

package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// pooled is what the pods of a pool, and the servers that they become, are made of.
func pooled(space string) (spawn.Site, spawn.Profile) {
	profile := spawn.Profile{DisplayName: "x", Slug: "x"}
	profile.Override.Image = "none"
	profile.Override.NodeSelector = map[string]string{"perijove.test/none": "true"} // no node runs it
	return spawn.Site{Namespace: space, JupyterConfigMap: "perijove-jupyter"}, profile
}

// waits makes a pod that waits for a user.
func (c changed) waits(change func(*corev1.Pod)) *corev1.Pod {
	c.Helper()
	site, profile := pooled(c.space)
	pod := spawn.NewTemplate(site, profile).Pod("pool-"+unique(), "abcdefghijklmnop", 0)
	change(pod)
	made, err := as(c.T, "").CoreV1().Pods(c.space).Create(context.Background(), pod, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		_ = as(c.T, "").CoreV1().Pods(c.space).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
	return made
}

// claim gives a pod to a user as the spawner does, with a change. The scheduler changes the pod meanwhile. Only a real
// claim stays.
func (c changed) claim(pod *corev1.Pod, user string, change func(patch map[string]any), options metav1.PatchOptions) error {
	c.Helper()
	site, profile := pooled(c.space)
	for {
		now, err := as(c.T, "").CoreV1().Pods(c.space).Get(context.Background(), pod.Name, metav1.GetOptions{})
		if err != nil {
			c.Fatal(err)
		}
		patch := spawn.Claimed(now, site, spawn.Spec{ID: server.ID{User: user}, Profile: profile, Nonce: "abcdefghijklmnop"}, time.Now())
		text, err := json.Marshal(patch)
		if err != nil {
			c.Fatal(err)
		}
		plain := map[string]any{} // of maps only, for the change
		if err := json.Unmarshal(text, &plain); err != nil {
			c.Fatal(err)
		}
		change(plain)
		if text, err = json.Marshal(plain); err != nil {
			c.Fatal(err)
		}
		_, err = c.pods.Patch(context.Background(), pod.Name, types.MergePatchType, text, options)
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

func metadata(patch map[string]any, kind string) map[string]any {
	return patch["metadata"].(map[string]any)[kind].(map[string]any)
}

// K4, K12: a stolen token of the spawner gives a pod of a pool to a user as the spawner does, once, and in no other way.
func TestClusterPoolPodsGetAnOwnerOnce(t *testing.T) {
	c := newChanged(t)
	try := metav1.PatchOptions{DryRun: dry.DryRun}
	pod := c.waits(func(*corev1.Pod) {})
	same := func(map[string]any) {}
	foreign := pod.DeepCopy().Spec.Containers
	foreign[0].Image = "thief"
	if err := c.claim(pod, "alice", same, try); err != nil {
		t.Fatalf("negative control: a pod that waits is not given to a user: %v", err)
	}
	for what, change := range map[string]func(map[string]any){
		"another image": func(p map[string]any) {
			p["spec"] = map[string]any{"containers": foreign}
		},
		"another pool":             func(p map[string]any) { metadata(p, "labels")[contract.LabelPool] = "another" },
		"no pool":                  func(p map[string]any) { metadata(p, "labels")[contract.LabelPool] = nil },
		"another manager":          func(p map[string]any) { metadata(p, "labels")[contract.LabelManagedBy] = "thief" },
		"no owner":                 func(p map[string]any) { delete(metadata(p, "labels"), contract.LabelUsername) },
		"it still waits":           func(p map[string]any) { delete(metadata(p, "labels"), contract.LabelComponent) },
		"another key of its order": func(p map[string]any) { metadata(p, "annotations")[contract.AnnotationOrderNonce] = "another" },
	} {
		c.refused(what, c.claim(pod, "alice", change, try))
	}
	c.refused("a pod of another manager", c.claim(c.waits(func(p *corev1.Pod) { p.Labels[contract.LabelManagedBy] = "another" }), "alice", same, try))
	c.refused("a server's pod", c.claim(c.made("bob", func(*corev1.Pod) {}), "alice", same, try))
	if err := c.claim(pod, "alice", same, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.refused("a second owner", c.claim(pod, "bob", same, try))
	c.refused("a second order", c.patch(pod, annotations(contract.AnnotationOrder, "{}")))
}

// K3: an account that may edit pods makes no pod that looks as if it waited for a user, and changes none that does: the
// next user's secret and home would be given to its program.
func TestClusterPoolPodsAreTheSpawners(t *testing.T) {
	admin, mallory, name := as(t, "").CoreV1().Pods(servers), as(t, editor(t)).CoreV1().Pods(servers), unique()
	label := map[string]string{contract.LabelPool: "key", contract.LabelComponent: contract.ComponentPool}
	_, err := mallory.Create(context.Background(), unscheduled(name, label, nil), dry)
	refused(t, "make one", err)
	const (
		image     = `{"spec":{"containers":[{"name":"c","image":"mine"}]}}`
		container = `{"spec":{"ephemeralContainers":[{"name":"x","image":"mine","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`
		mark      = `{"metadata":{"labels":{"%s":%s}}}`
	)
	create(t, admin, unscheduled(name, nil, nil))
	if err := patch(mallory, name, image); err != nil { // the negative control
		t.Errorf("the image of an ordinary pod: %v", err)
	}
	refused(t, "make one of another", patch(mallory, name, fmt.Sprintf(mark, contract.LabelPool, `"key"`)))
	if err := patch(admin, name, fmt.Sprintf(mark, contract.LabelPool, `"key"`)); err != nil {
		t.Fatal(err)
	}
	refused(t, "another pool", patch(mallory, name, fmt.Sprintf(mark, contract.LabelPool, `"another"`)))
	refused(t, "take the label away", patch(mallory, name, fmt.Sprintf(mark, contract.LabelPool, "null")))
	refused(t, "image", patch(mallory, name, `{"spec":{"containers":[{"name":"c","image":"thief"}]}}`))
	refused(t, "ephemeral container", patch(mallory, name, container, "ephemeralcontainers"))
}
