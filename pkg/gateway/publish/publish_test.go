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
	"github.com/perijove/perijove/pkg/gateway/shard"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/web/origin"
)

type env struct {
	*publish.Publisher
	store   *ads.Store
	reports []string
}

func newEnv(t *testing.T) *env { return newShard(t, shard.Shard{}) }

func newShard(t *testing.T, part shard.Shard) *env {
	f := &env{store: ads.NewStore(func(ads.Nack) {}, resourcev3.ScopedRouteType)}
	f.Publisher = publish.New(f.store, func(ns, pod, _, reason string) { f.reports = append(f.reports, pod+": "+reason) },
		scopes.Settings{Site: origin.Site{Scheme: "http", Hosts: []string{"h"}}, ServerKey: []byte(strings.Repeat("k", 32))}, part)
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

// A pod that stays left out for the same reason is reported once, whatever else changes of
// it. Another pod under its name is reported again: its owner waits for another Event.
func TestReportsFollowThePod(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("early", "alice", "", "u1", 1))
	f.Set(pod("late", "alice", "", "u2", 2))
	moved := func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }
	f.Set(pod("late", "alice", "", "u2", 2, moved))
	if len(f.reports) != 1 {
		t.Errorf("reports = %q, want one", f.reports)
	}
	f.Set(pod("late", "alice", "", "u3", 3))
	if len(f.reports) != 2 {
		t.Errorf("reports = %q, want one more for the pod that replaced the other", f.reports)
	}
	f.Set(pod("late", "bob", "", "u3", 3))
	if served, skipped := f.Counts(); served != 2 || skipped != 0 {
		t.Errorf("served %d, skipped %d after the younger pod went to another user", served, skipped)
	}
}

// TestX7_TheNextBadPodIsReportedToo: a pod that is as bad as the one it replaced gets an Event of its own.
func TestX7_TheNextBadPodIsReportedToo(t *testing.T) {
	f := newEnv(t).started(t)
	bad := func(p *corev1.Pod) { p.Status.PodIP = "127.0.0.1" }
	for i, uid := range []string{"u1", "u2"} {
		f.Set(pod("p", "alice", "", uid, 1, bad))
		if len(f.reports) != i+1 {
			t.Errorf("reports = %q after pod %s", f.reports, uid)
		}
	}
}

// What changes of a pod's identity, address or readiness reaches the routes at once.
func TestEveryChangeIsPublished(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("p", "alice", "", "u1", 1))
	for name, change := range map[string]func(*corev1.Pod){
		"address":   func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" },
		"not ready": func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse },
	} {
		before := f.version("alice")
		f.Set(pod("p", "alice", "", "u1", 1, change))
		if f.version("alice") == before {
			t.Errorf("%s: nothing was published", name)
		}
		f.Set(pod("p", "alice", "", "u1", 1))
	}
}

// One server that stops takes none of its owner's others along, now or at their next change.
func TestOtherServersOfTheUserStay(t *testing.T) {
	f := newEnv(t).started(t)
	for _, name := range []string{"a", "b", "c"} {
		f.Set(pod(name, "alice", name, name, 1))
	}
	f.Delete("ns", "a")
	f.Set(pod("b", "alice", "b", "b", 1, func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }))
	if served, _ := f.Counts(); served != 2 {
		t.Errorf("%d servers are served, want 2", served)
	}
}

// TestStartPublishesEveryUser: the set that is complete when the xds-server starts.
func TestStartPublishesEveryUser(t *testing.T) {
	f := newEnv(t)
	for _, user := range []string{"alice", "bob", "carol"} {
		f.Set(pod(user, user, "", user, 1))
	}
	f.started(t)
	for _, user := range []string{"alice", "bob", "carol"} {
		if f.version(user) == "" {
			t.Errorf("%s has no route", user)
		}
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

// TestX7_ARefusalIsThisPods: a NACK of the route to this pod is told with its reason and without
// the pod's secret. A NACK of another user's route, and one of the route before, are not.
func TestX7_ARefusalIsThisPods(t *testing.T) {
	f := newEnv(t).started(t)
	f.Set(pod("p", "alice", "", "u1", 1))
	f.Set(pod("q", "bob", "", "u2", 1))
	envoy := connect(t, f.store)
	envoy.refuse("bob", "no room for bob")
	alice, bob := server.ID{User: "alice"}, server.ID{User: "bob"}
	if got := f.wait(t, bob, "u2"); got.Served || got.Refused == nil || got.Refused.Reason != "no room for bob" || got.Refused.Version != f.version("bob") {
		t.Errorf("bob: %+v", got)
	}
	if got := f.wait(t, alice, "u1"); !got.Served || got.Refused != nil {
		t.Errorf("alice, whose neighbour was refused: %+v", got)
	}
	f.Set(pod("q", "bob", "", "u2", 1, func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.2" }))
	if got := f.wait(t, bob, "u2"); got.Refused != nil {
		t.Errorf("bob's new route is told as refused with the old one: %+v", got.Refused)
	}
	if got := f.wait(t, bob, "another"); got.Refused != nil {
		t.Errorf("the refusal is told of another pod: %+v", got.Refused)
	}
}

// With ten shards a user's pod is wanted by one of them. The platform's own pages are in each.
func TestAShardWantsItsOwners(t *testing.T) {
	var wanted int
	for n := range 10 {
		f := newShard(t, shard.Shard{Number: n, Of: 10}).started(t)
		if f.Wants(pod("p", "alice", "", "u1", 1)) {
			wanted++
		}
		if !f.Wants(pod("p", "/", "", "u1", 1)) {
			t.Errorf("shard %d says nothing of a pod without a good owner", n)
		}
		if f.version("login") == "" {
			t.Errorf("shard %d lacks the login page", n)
		}
	}
	if wanted != 1 {
		t.Errorf("%d of 10 shards want alice's pod, want 1", wanted)
	}
}

// An owner whose name has two spellings may be in two shards: each has the spelling that is its own.
func TestAShardPublishesItsSpellings(t *testing.T) {
	const owner, one, other, of = "a@b", "a@b", "a%40b", 1000
	f := newShard(t, shard.Shard{Number: shard.Of(one, of), Of: of}).started(t)
	f.Set(pod("p", "a-b", "", "u1", 1, func(p *corev1.Pod) { p.Annotations = map[string]string{contract.LabelUsername: owner} }))
	if f.version(one) == "" || f.version(other) != "" {
		t.Errorf("published: %v", f.store.Versions(resourcev3.ScopedRouteType))
	}
}

// A spawner asks every gateway: one of another shard must not hold a start up, and its Envoys must
// not stand for those of the user's own shard.
func TestAnotherShardHoldsNoStartUp(t *testing.T) {
	f := newShard(t, shard.Shard{Number: (shard.Of("alice", 10) + 1) % 10, Of: 10}).started(t)
	if got := f.Wait(t.Context(), server.ID{User: "alice"}, "u1"); !got.Served || got.Envoys != 0 {
		t.Errorf("another shard says %+v, want served by no Envoy", got)
	}
}
