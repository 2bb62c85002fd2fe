package kube

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestPublishedElsewhere: pods of further namespaces are listed, those of others are not, and a
// namespace that the spawner may not read hides its own pods only.
func TestPublishedElsewhere(t *testing.T) {
	t.Parallel()
	pod := func(namespace, name string) *corev1.Pod {
		p := memory.Labelled(name, server.ID{User: "alice", Name: name}, time.Now())
		p.Namespace = namespace
		p.Spec.Volumes = []corev1.Volume{{Name: "large"}}
		return p
	}
	client := newClient(pod(ns, "here"), pod("apps", "app"), pod("other", "other"), pod("closed", "closed"))
	client.PrependReactor("list", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		return a.GetNamespace() == "closed", nil, apierrors.NewForbidden(corev1.Resource("pods"), "", nil)
	})
	s := settings(t)
	s.Namespaces = []string{ns, "apps", "closed"}
	c, _ := boot(t, client, s)
	names := func() (all []string) {
		for _, p := range c.Published("alice") {
			all = append(all, p.Namespace+"/"+p.Pod)
		}
		return all
	}
	wait.Until(t, "both are listed", func() bool { got := names(); return len(got) == 2 && got[0] == "apps/app" && got[1] == "servers/here" })
	if err := client.Tracker().Delete(podsResource, "apps", "app"); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "one is withdrawn", func() bool { return len(names()) == 1 })
}

// TestOnlyWhatIsReadIsKept: the fields that podmeta reads outlive the trimming, or no pod is listed.
func TestOnlyWhatIsReadIsKept(t *testing.T) {
	t.Parallel()
	whole := memory.Labelled("app", server.ID{User: "alice"}, time.Now())
	whole.Spec.Volumes, whole.Spec.ReadinessGates = []corev1.Volume{{Name: "v"}}, []corev1.PodReadinessGate{{ConditionType: "g"}}
	whole.Annotations[contract.AnnotationStripPrefix] = "true"
	want := whole.DeepCopy()
	want.Spec.Volumes = nil
	got, err := dropUnread(whole)
	if err != nil || got.(*corev1.Pod).String() != want.String() {
		t.Errorf("kept %v, %v, want %v", got, err, want)
	}
	if owners, err := publishedBy(want); err != nil || len(owners) != 1 || owners[0] != "alice" {
		t.Errorf("it is %v's, %v", owners, err)
	}
}
