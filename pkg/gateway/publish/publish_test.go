package publish_test

import (
	"context"
	"strings"
	"testing"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/gateway/ads"
	"github.com/perijove/perijove/pkg/gateway/publish"
	"github.com/perijove/perijove/pkg/gateway/scopes"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

type env struct {
	*publish.Publisher
	store   *ads.Store
	reports []string
}

func newEnv(t *testing.T) *env {
	f := &env{store: ads.NewStore(func(ads.Nack) {}, resourcev3.ScopedRouteType)}
	f.Publisher = publish.New(f.store, func(ns, pod, _, reason string) { f.reports = append(f.reports, pod+": "+reason) },
		scopes.Settings{Site: origin.Site{Scheme: "http", Hosts: []string{"h"}}, ServerKey: []byte(strings.Repeat("k", 32))})
	return f
}

func (f *env) started(t *testing.T) *env {
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *env) version(name string) string {
	return f.store.Versions(resourcev3.ScopedRouteType)[name]
}

func pod(name, user, server, uid string, created int64, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name, UID: types.UID(uid), CreationTimestamp: metav1.NewTime(time.Unix(created, 0)),
			Labels: map[string]string{contract.LabelUsername: user, contract.LabelServername: server},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 8888}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func TestNothingIsPublishedBeforeStart(t *testing.T) {
	f := newEnv(t)
	f.Set(pod("p", "alice", "", "u1", 1))
	if len(f.store.Versions(resourcev3.ScopedRouteType)) != 0 {
		t.Fatal("a partial set was published: an Envoy would drop the rest")
	}
	f.started(t)
	if f.version("alice") == "" || f.version("login") == "" {
		t.Error("Start did not publish the pods and the pages")
	}
}

func TestRelabelledPodMovesAndUnlabelledOneLeaves(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("p", "alice", "demo", "u1", 1))
	f.Set(pod("p", "bob", "demo", "u1", 1))
	if f.version("alice") != "" || f.version("bob") == "" {
		t.Error("the route did not follow the label")
	}
	f.Delete("ns", "p")
	if f.version("bob") != "" {
		t.Error("the route outlived the label")
	}
}

func TestUnchangedPodSendsNothing(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("p", "alice", "", "u1", 1))
	changed := f.store.Changed()
	f.Set(pod("p", "alice", "", "u1", 1, func(p *corev1.Pod) { p.ResourceVersion = "9" }))
	select {
	case <-changed:
		t.Error("a resync was published again")
	default:
	}
}

// R14, X7: a bad pod is named once and harms no other.
func TestX7_BadPodIsReportedOnce(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("good", "alice", "", "u1", 1))
	bad := func(p *corev1.Pod) { p.Status.PodIP = "127.0.0.1" }
	f.Set(pod("bad", "alice", "x", "u2", 1, bad))
	f.Set(pod("bad", "alice", "x", "u2", 1, bad, func(p *corev1.Pod) { p.ResourceVersion = "9" }))
	if len(f.reports) != 1 || !strings.Contains(f.reports[0], "127.0.0.1") {
		t.Errorf("reports = %q, want one that names the address", f.reports)
	}
	if served, skipped := f.Counts(); served != 1 || skipped != 1 {
		t.Errorf("served %d, skipped %d, want 1 and 1", served, skipped)
	}
}

func TestYoungerClaimIsReportedAndTakesOverWhenTheOlderLeaves(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("late", "alice", "", "u2", 2))
	f.Set(pod("early", "alice", "", "u1", 1))
	if len(f.reports) != 1 || !strings.HasPrefix(f.reports[0], "late: ") {
		t.Errorf("reports = %q, want the younger pod's", f.reports)
	}
	f.Delete("ns", "early")
	if served, skipped := f.Counts(); served != 1 || skipped != 0 {
		t.Errorf("served %d, skipped %d after the older left, want 1 and 0", served, skipped)
	}
}

// Served is about this very pod: an ACK of the pod before must not count (R10).
func TestWaitIsAboutThisPod(t *testing.T) {
	f := newEnv(t).started(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	id := server.ID{User: "alice"}
	f.Set(pod("p", "alice", "", "u1", 1))
	if !f.Wait(ctx, id, "u1").Served {
		t.Error("with no Envoy connected none is behind, yet the route is not served")
	}
	if f.Wait(ctx, id, "u2").Served {
		t.Error("another pod's route was taken for this one's")
	}
	if f.Wait(ctx, id, "").Served {
		t.Error("no pod at all counts as served")
	}
}
