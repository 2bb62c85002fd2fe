package kube

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/wait"
)

// withQuota is the suite's policy with one quota more.
func withQuota(t *testing.T, name string, q spawn.Quota) Settings {
	t.Helper()
	policy, faults := spawn.Document{
		Profiles: clustertest.Policy().Profiles, Quotas: map[string]spawn.Quota{name: q},
	}.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s := settings(t)
	s.SpawnLimit = 1000
	s.Policy = func() spawn.Policy { return policy }
	return s
}

// present watches how many pods there are at most at one time.
func present(t *testing.T, c *fake.Clientset, most int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	c.PrependReactor("create", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n > most {
			t.Errorf("%d pods, and the quota allows %d", n, most)
		}
		return false, nil, nil
	})
	c.PrependReactor("delete", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		n--
		return false, nil, nil
	})
}

// race starts servers at one moment, in turns on two replicas, and returns how many are accepted.
func race(t *testing.T, a, b *Cluster, starts int, of func(i int) (access.User, server.ID)) (accepted int) {
	t.Helper()
	results := make(chan error, starts)
	for i := range starts {
		c := a
		if i%2 == 1 {
			c = b
		}
		user, id := of(i)
		go func() { results <- c.Start(t.Context(), spawn.Request{ID: id, Owner: user}) }()
	}
	for range starts {
		var p *spawn.Problem
		switch err := <-results; {
		case err == nil:
			accepted++
		case !errors.As(err, &p) || p.Message != spawn.MsgOverServers && p.Message != spawn.MsgTooMany:
			t.Errorf("a start ended with %v", err)
		}
	}
	return accepted
}

// TestReplicasTogetherKeepAQuota: 200 starts of one user at one moment on two replicas make as many
// servers as the quota allows, no more and no fewer, and no decision lists anything.
func TestReplicasTogetherKeepAQuota(t *testing.T) {
	t.Parallel()
	client := newClient()
	present(t, client, 3)
	s := withQuota(t, "three", spawn.Quota{Servers: "3", NamedServers: "100"})
	a, _ := boot(t, client, s)
	b, _ := boot(t, client, s)
	client.ClearActions()
	bert := access.User{Name: "bert"}
	if n := race(t, a, b, 200, func(i int) (access.User, server.ID) {
		return bert, server.ID{User: "bert", Name: fmt.Sprintf("s%d", i)}
	}); n != 3 {
		t.Errorf("%d starts were accepted, want 3", n)
	}
	if n := len(pods(t, client)); n != 3 {
		t.Errorf("%d pods", n)
	}
	lists := 0
	for _, action := range client.Actions() {
		if action.GetVerb() == "list" {
			lists++
		}
	}
	if lists != 1 { // the test's own
		t.Errorf("%d lists, want none", lists-1)
	}
	// Room comes back at once on the other replica too.
	first := pods(t, client)[0]
	id, _ := spawn.Identify(&first)
	wait.Until(t, "the second replica sees the server", func() bool { return b.cached(id) != nil })
	if gone, err := b.Stop(t.Context(), id, time.Second); !gone || err != nil {
		t.Fatalf("stop: %v, %v", gone, err)
	}
	if err := a.Start(t.Context(), spawn.Request{ID: server.ID{User: "bert", Name: "next"}, Owner: bert}); err != nil {
		t.Errorf("after a stop: %v", err)
	}
}

// TestReplicasTogetherKeepASharedQuota is the same for 60 users of one group.
func TestReplicasTogetherKeepASharedQuota(t *testing.T) {
	t.Parallel()
	client := newClient()
	present(t, client, 20)
	s := withQuota(t, "class", spawn.Quota{Groups: []string{"class"}, Together: true, Servers: "20"})
	a, _ := boot(t, client, s)
	b, _ := boot(t, client, s)
	n := race(t, a, b, 60, func(i int) (access.User, server.ID) {
		name := fmt.Sprintf("u%d", i)
		return access.User{Name: name, Groups: []string{"class"}}, server.ID{User: name}
	})
	if n != 20 {
		t.Errorf("%d starts were accepted, want 20", n)
	}
}

// TestOneServerStartedByBothReplicas is held once, with the nonce of the pod that was made.
func TestOneServerStartedByBothReplicas(t *testing.T) {
	t.Parallel()
	client := newClient()
	s := withQuota(t, "one", spawn.Quota{Servers: "1"})
	a, _ := boot(t, client, s)
	b, _ := boot(t, client, s)
	if n := race(t, a, b, 20, func(int) (access.User, server.ID) { return access.User{Name: "alice"}, alice }); n != 20 {
		t.Errorf("%d of 20 starts joined the one server", n)
	}
	nonce := onlyPod(t, client).Annotations[contract.AnnotationNonce]
	wait.Until(t, "the record holds the pod", func() bool { return a.record(spawn.Subject{Name: "alice"}).Has("", nonce) })
}

// held waits until a record holds as many servers.
func held(t *testing.T, c *Cluster, s spawn.Subject, want int) {
	t.Helper()
	wait.Until(t, fmt.Sprintf("%d servers in the record of %s", want, s.Name), func() bool { return len(c.record(s).Holds) == want })
}

// meanwhile is what happens to a pod of alice's, which two records hold; later lets time pass.
type meanwhile func(t *testing.T, c *Cluster, pod *corev1.Pod, later func(time.Duration))

// events are what records have to follow.
func events() map[string]meanwhile {
	own, shared := spawn.Subject{Name: "alice"}, spawn.Subject{Name: "lab", Shared: true}
	const strange = `{"subject":"bob","holds":{}}`
	return map[string]meanwhile{
		"a record that somebody deleted": func(t *testing.T, c *Cluster, _ *corev1.Pod, later func(time.Duration)) {
			for _, s := range []spawn.Subject{own, shared} {
				if err := c.writes.CoreV1().ConfigMaps(ns).Delete(t.Context(), s.RecordName(), metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				held(t, c, s, 0)
			}
			later(recently)
			c.tendOnce(t.Context())
			held(t, c, own, 1)
			held(t, c, shared, 1)
		},
		"a record that cannot be read": func(t *testing.T, c *Cluster, _ *corev1.Pod, later func(time.Duration)) {
			m := c.cachedRecord(own).DeepCopy()
			m.Data = map[string]string{recordKey: strange}
			if _, err := c.writes.CoreV1().ConfigMaps(ns).Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			held(t, c, own, 0)
			later(recently)
			c.tendOnce(t.Context())
			held(t, c, own, 1)
			if kept := c.cachedRecord(own).Data[unreadKey]; kept != strange {
				t.Errorf("what could not be read is %q", kept)
			}
		},
		"a pod that somebody deleted": func(t *testing.T, c *Cluster, pod *corev1.Pod, later func(time.Duration)) {
			if err := c.writes.CoreV1().Pods(ns).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			wait.Until(t, "the pod is gone", func() bool { return c.cached(alice) == nil })
			later(unmade + time.Second)
			c.tendOnce(t.Context())
			held(t, c, own, 0)
			held(t, c, shared, 0)
		},
		"a pod that ended by itself": func(t *testing.T, c *Cluster, pod *corev1.Pod, later func(time.Duration)) {
			ended := pod.DeepCopy()
			ended.Status.Phase = corev1.PodSucceeded
			if _, err := c.writes.CoreV1().Pods(ns).UpdateStatus(t.Context(), ended, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			wait.Until(t, "the end is seen", func() bool { return c.cached(alice).Status.Phase == corev1.PodSucceeded })
			later(time.Hour)
			c.tendOnce(t.Context())
			held(t, c, own, 0)
			if spent := c.record(own).Days; len(spent) == 0 {
				t.Error("its time does not count")
			}
		},
		"a start whose spawner was killed": func(t *testing.T, c *Cluster, _ *corev1.Pod, later func(time.Duration)) {
			if err := c.take(t.Context(), alice, []spawn.Need{{Subject: own, Ask: quota.Ask{Key: "never", Nonce: "x", Weight: quota.One}}}, ""); err != nil {
				t.Fatal(err)
			}
			held(t, c, own, 2)
			c.tendOnce(t.Context())
			held(t, c, own, 2) // the pod may be on its way
			later(unmade + time.Second)
			c.tendOnce(t.Context())
			held(t, c, own, 1)
		},
		"nothing at all": func(t *testing.T, c *Cluster, _ *corev1.Pod, later func(time.Duration)) {
			later(time.Hour)
			before := c.cachedRecord(own).ResourceVersion
			c.tendOnce(t.Context())
			if after := c.cachedRecord(own).ResourceVersion; after != before {
				t.Error("a record was written for nothing")
			}
		},
	}
}

// TestRecordsFollowPods: what has happened while no spawner looked comes into the records.
func TestRecordsFollowPods(t *testing.T) {
	t.Parallel()
	own, shared := spawn.Subject{Name: "alice"}, spawn.Subject{Name: "lab", Shared: true}
	quotaOfLab := spawn.Quota{Groups: []string{"lab"}, Together: true, Servers: "5"}
	for name, test := range events() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := clustertest.NewClock()
			client := newClientAt(clock.Now)
			c, _ := bootAt(t, client, clock.Now, withQuota(t, "lab", quotaOfLab))
			if err := c.Start(t.Context(), spawn.Request{ID: alice, Owner: access.User{Name: "alice", Groups: []string{"lab"}}}); err != nil {
				t.Fatal(err)
			}
			held(t, c, own, 1)
			held(t, c, shared, 1)
			test(t, c, onlyPod(t, client), clock.Advance)
		})
	}
}

// TestRefusedStartMakesNothing: neither a home nor a hold remains of it, and storage counts.
func TestRefusedStartMakesNothing(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, withQuota(t, "small", spawn.Quota{Storage: "1Mi"}))
	var p *spawn.Problem
	if err := c.Start(t.Context(), ask(alice)); !errors.As(err, &p) || p.Message != spawn.MsgOverStorage {
		t.Fatalf("start: %v", err)
	}
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 0 || len(pods(t, client)) != 0 {
		t.Errorf("%d claims, %d pods, %v", len(claims.Items), len(pods(t, client)), err)
	}
}

// TestRecordsAreNotWrittenForeverAgainstOthers: a record that always changes ends in a plain refusal.
func TestRecordsAreNotWrittenForeverAgainstOthers(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(server.ID{User: "alice", Name: "one"})); err != nil {
		t.Fatal(err)
	}
	resource := corev1.SchemeGroupVersion.WithResource("configmaps")
	client.PrependReactor("update", "configmaps", func(a clienttest.Action) (bool, runtime.Object, error) {
		m := a.(clienttest.UpdateAction).GetObject().(*corev1.ConfigMap).DeepCopy()
		m.ResourceVersion += "0"
		return false, nil, client.Tracker().Update(resource, m, ns)
	})
	var p *spawn.Problem
	if err := c.Start(t.Context(), ask(alice)); !errors.As(err, &p) || p.Message != spawn.MsgUnavailable {
		t.Errorf("start: %v", err)
	}
	if len(pods(t, client)) != 1 {
		t.Error("a pod was made that no record holds")
	}
}

// BenchmarkUsage is what a home page asks about a user whose group has 5,000 members with a server.
func BenchmarkUsage(b *testing.B) {
	shared := quota.Record{Subject: "class", Holds: map[string]quota.Hold{}}
	for i := range 5000 {
		shared.Holds[fmt.Sprintf("user%d/", i)] = quota.Hold{Nonce: "abcdefghijklmnopqrstuvwxyz", Since: time.Now(), Weight: quota.One, Uses: quota.Amounts{quota.CPU: 1000}}
	}
	text, err := shared.Encode()
	if err != nil {
		b.Fatal(err)
	}
	c := &Cluster{Settings: Settings{Site: clustertest.Site(), Policy: func() spawn.Policy {
		p, _ := spawn.Document{Profiles: clustertest.Policy().Profiles, Quotas: map[string]spawn.Quota{"class": {Together: true, Servers: "9000", CPU: "9000"}}}.Policy()
		return p
	}}, now: time.Now}
	c.records = cache.NewSharedIndexInformer(&cache.ListWatch{}, &corev1.ConfigMap{}, 0, cache.Indexers{})
	if err := c.records.GetStore().Add(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: spawn.Subject{Name: "class", Shared: true}.RecordName(), ResourceVersion: "7"}, Data: map[string]string{recordKey: string(text)},
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if u := c.Usage(access.User{Name: "alice"}); len(u) != 2 || u[1].Used != 5000*quota.One {
			b.Fatal(u)
		}
	}
}
