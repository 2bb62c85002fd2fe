package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/wait"
)

// kubelet lets each pod answer a moment after it was made, and keeps count of what it saw.
type kubelet struct {
	mu      sync.Mutex
	made    []string // owners, in the order in which their pods were made
	pending int
	most    int // pods that were pending at one moment
}

func (k *kubelet) serve(t *testing.T, client *fake.Clientset, takes time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	client.PrependReactor("create", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		pod := a.(clienttest.CreateAction).GetObject().(*corev1.Pod).DeepCopy()
		if err := client.Tracker().Create(podsResource, pod, ns); err != nil {
			return true, nil, err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		id, _ := spawn.Identify(pod)
		k.made = append(k.made, id.User)
		k.pending++
		k.most = max(k.most, k.pending)
		all.Add(1)
		time.AfterFunc(takes, func() {
			defer all.Done()
			k.mu.Lock()
			k.pending--
			k.mu.Unlock()
			next := pod.DeepCopy()
			memory.Answer(next)
			if err := client.Tracker().Update(podsResource, next, ns); err != nil {
				t.Error(err)
			}
		})
		return true, pod, nil
	})
}

func (k *kubelet) seen() (made []string, most int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.made), k.most
}

// waitingIn returns the starts that wait, as the records say.
func waitingIn(t *testing.T, client *fake.Clientset) (n int) {
	t.Helper()
	l, err := client.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Items {
		if s, ok := spawn.RecordSubject(m.Name, []byte(m.Data[recordKey])); ok {
			r, err := parse(&m, s)
			if err != nil {
				t.Error(err)
			}
			n += len(r.Waiting)
		}
	}
	return n
}

// requests counts the calls of the API, without the watches and their lists.
func requests(client *fake.Clientset) (n int) {
	for _, a := range client.Actions() {
		if a.GetVerb() != "watch" && a.GetVerb() != "list" {
			n++
		}
	}
	return n
}

// TestR5_TwoHundredStartsAtOnce: two replicas, ten places. All finish, in order, none is lost and
// none doubled, for so many calls of the API that 100 a second are enough for 25 starts.
func TestR5_TwoHundredStartsAtOnce(t *testing.T) {
	t.Parallel()
	const starts, places = 200, 10
	client := newClient()
	var k kubelet
	k.serve(t, client, 20*time.Millisecond)
	cfg := settings(t)
	cfg.SpawnLimit = places
	a, _ := boot(t, client, cfg)
	b, _ := boot(t, client, cfg)
	var asked sync.WaitGroup
	for i := range starts {
		c := []*Cluster{a, b}[i%2]
		asked.Go(func() {
			if err := c.Start(t.Context(), ask(server.ID{User: fmt.Sprintf("u%03d", i)})); err != nil {
				t.Error(err)
			}
		})
	}
	asked.Wait()
	accepted := requests(client)
	wait.Within(t, 2*time.Minute, "all servers answer, none waits", func() bool {
		return a.running() == starts && b.running() == starts && waitingIn(t, client) == 0
	})
	made, most := k.seen()
	distinct := map[string]bool{}
	for _, user := range made {
		distinct[user] = true
	}
	if len(made) != starts || len(distinct) != starts {
		t.Errorf("%d pods were made, of %d users", len(made), len(distinct))
	}
	if per := float64(accepted) / starts; per > 4 {
		t.Errorf("%.1f calls until a start was accepted", per)
	}
	// Each replica lets starts in until it sees those of the other.
	if most > 2*places {
		t.Errorf("%d servers were starting at one moment", most)
	}
	t.Logf("at most %d at one moment; %d calls until all were accepted; %.1f calls a start", most, accepted, float64(requests(client))/starts)
	if per := float64(requests(client)) / starts; per > 12 {
		t.Errorf("%.1f calls a start", per)
	}
}

// TestR5_QueueOrder: with one place starts come strictly in the order in which they were asked
// for, whichever replica was asked.
func TestR5_QueueOrder(t *testing.T) {
	t.Parallel()
	client := newClient()
	var k kubelet
	k.serve(t, client, 5*time.Millisecond)
	cfg := settings(t)
	cfg.SpawnLimit = 1
	a, _ := boot(t, client, cfg)
	b, _ := boot(t, client, cfg)
	blocker := occupied(t, client, a, b)
	var want []string
	for i := range 20 {
		user := fmt.Sprintf("u%02d", i)
		want = append(want, user)
		if err := []*Cluster{a, b}[i%2].Start(t.Context(), ask(server.ID{User: user})); err != nil {
			t.Fatal(err)
		}
	}
	blocker()
	wait.Until(t, "all servers answer", func() bool { return a.running() == 21 })
	// A replica may see that a start has left the queue before it sees the pod.
	if made, most := k.seen(); !slices.Equal(made, want) || most > 2 {
		t.Errorf("made in the order %v, %d at one moment", made, most)
	}
}

// occupied takes a place with a pod that does not answer until free is called.
func occupied(t *testing.T, client *fake.Clientset, replicas ...*Cluster) (free func()) {
	t.Helper()
	c, id := replicas[0], server.ID{User: "blocker"}
	pod := spawn.Pod(c.Site, spawn.Spec{ID: id, Nonce: "abcdefghijklmnopqrstuvwxyz", Profile: clustertest.Policy().Profiles[0]})
	pod.UID, pod.CreationTimestamp = "blocker", metav1.NewTime(c.now())
	if err := client.Tracker().Add(pod); err != nil {
		t.Fatal(err)
	}
	for _, c := range replicas {
		wait.Until(t, "the place is taken", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			_, ok := c.starting[id]
			return ok
		})
	}
	return func() {
		next := pod.DeepCopy()
		memory.Answer(next)
		if err := client.Tracker().Update(podsResource, next, ns); err != nil {
			t.Error(err)
		}
	}
}

// TestR5_KilledWhileItServesTheQueue kills the replica that is at a start which waited after each
// of its writes. Another one brings it to an end: one volume, one pod, one secret, and nothing
// waits.
func TestR5_KilledWhileItServesTheQueue(t *testing.T) {
	t.Parallel()
	for crash := 0; ; crash++ {
		clock := clustertest.NewClock()
		client := newClientAt(clock.Now)
		cfg := settings(t)
		cfg.SpawnLimit, cfg.StartTimeout = 1, time.Hour
		first, stop := bootAt(t, client, clock.Now, cfg)
		free := occupied(t, client, first)
		if err := first.Start(t.Context(), ask(alice)); err != nil || !first.waits(alice) {
			t.Fatalf("%v; it waits: %v", err, first.waits(alice))
		}
		var writes atomic.Int64
		var dead atomic.Bool
		var revived atomic.Bool
		client.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
			if verb := a.GetVerb(); !revived.Load() && (verb == "create" || verb == "update") && writes.Add(1) > int64(crash) {
				dead.Store(true)
			}
			if dead.Load() && !revived.Load() {
				return true, nil, errors.New("spawner was killed")
			}
			return false, nil, nil
		})
		free()
		if !wait.Poll(3*time.Second, func() bool { return dead.Load() || aliceWaits(client) == 0 }) {
			t.Fatalf("crash %d: neither dead nor served", crash)
		}
		over := !dead.Load()
		stop()
		revived.Store(true)
		clock.Advance(2 * spawn.Lease)
		second, _ := bootAt(t, client, clock.Now, cfg)
		wait.Until(t, fmt.Sprintf("crash %d: nothing waits", crash), func() bool {
			second.tendOnce(t.Context())
			return waitingIn(t, client) == 0 && second.cached(alice) != nil
		})
		if err := second.Start(t.Context(), ask(alice)); err != nil { // makes a secret that is missing
			t.Error(err)
		}
		owned := podsOf(t, client, alice)
		claims, _ := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
		if owned != 1 || len(claims.Items) != 1 {
			t.Errorf("crash %d: %d pods, %d volumes", crash, owned, len(claims.Items))
		}
		if r := second.record(spawn.Subject{Name: "alice"}); len(r.Holds) != 1 {
			t.Errorf("crash %d: the record holds %v", crash, r.Holds)
		}
		if over {
			if crash < 4 {
				t.Errorf("only %d writes were seen", crash)
			}
			return
		}
	}
}

// podsOf counts a server's pods.
func podsOf(t *testing.T, client *fake.Clientset, id server.ID) (n int) {
	t.Helper()
	for _, pod := range pods(t, client) {
		if got, _ := spawn.Identify(&pod); got == id {
			n++
		}
	}
	return n
}

// aliceWaits is waitingIn below the reactors, which may be dead.
func aliceWaits(client *fake.Clientset) int { return len(aliceQueue(client)) }

func aliceTicket(client *fake.Clientset) string { return aliceQueue(client)[""].Ticket }

func aliceQueue(client *fake.Clientset) map[string]quota.Wait {
	o, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), ns, spawn.Subject{Name: "alice"}.RecordName())
	if err != nil {
		return nil
	}
	r, err := quota.Parse([]byte(o.(*corev1.ConfigMap).Data[recordKey]), "alice")
	if err != nil {
		return nil
	}
	return r.Waiting
}

// TestD7_PoisonedStart: a start at which the API fails each time is tried so often, told to its
// user, and never keeps others waiting.
func TestD7_PoisonedStart(t *testing.T) {
	t.Parallel()
	clock := clustertest.NewClock()
	client := newClientAt(clock.Now)
	var tries atomic.Int64
	client.PrependReactor("create", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		pod := a.(clienttest.CreateAction).GetObject().(*corev1.Pod)
		if id, _ := spawn.Identify(pod); id.User == "mallory" {
			tries.Add(1)
			return true, nil, apierrors.NewInternalError(errors.New("a webhook did not answer"))
		}
		return false, nil, nil
	})
	cfg := settings(t)
	cfg.SpawnLimit, cfg.StartTimeout = 1, time.Hour
	c, _ := bootAt(t, client, clock.Now, cfg)
	c.retryPause = time.Millisecond
	free := occupied(t, client, c)
	mallory := server.ID{User: "mallory"}
	for _, id := range []server.ID{mallory, alice} {
		clock.Advance(time.Second)
		if err := c.Start(t.Context(), ask(id)); err != nil {
			t.Fatal(err)
		}
	}
	free()
	wait.Until(t, "alice's start is made", func() bool {
		clock.Advance(time.Second)
		return c.cached(alice) != nil
	})
	if n := tries.Load(); n != 1 {
		t.Errorf("mallory's start was tried %d times before", n)
	}
	(&api{t: t, client: client}).change(alice, memory.Answer)
	wait.Until(t, "mallory's start is told to have failed", func() bool {
		clock.Advance(10 * time.Second)
		s, err := c.Get(t.Context(), mallory)
		return err == nil && s.Phase == spawn.Failed && s.Now().Message == spawn.MsgUnavailable
	})
	if n := tries.Load(); n != 3 {
		t.Errorf("tried %d times", n)
	}
}

// TestK6_RightsAreThoseOfTheTurn: a profile that is taken from a group while a start waits is not
// started.
func TestK6_RightsAreThoseOfTheTurn(t *testing.T) {
	t.Parallel()
	client := newClient()
	cfg := settings(t)
	var taken atomic.Bool
	policy := cfg.Policy
	cfg.SpawnLimit = 1
	cfg.Policy = func() spawn.Policy {
		p := policy()
		if taken.Load() {
			p.Profiles = slices.Clone(p.Profiles)
			p.Profiles[1].AllowedGroups = []string{"others"}
		}
		return p
	}
	c, _ := boot(t, client, cfg)
	free := occupied(t, client, c)
	r := spawn.Request{ID: alice, Owner: access.User{Name: "alice", Groups: []string{"physics"}}, Options: spawn.Options{Profile: "gpu"}}
	for _, gone := range []bool{false, true} {
		taken.Store(false)
		if err := c.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		taken.Store(gone)
		free()
		var s spawn.Server
		wait.Until(t, "the turn comes", func() bool {
			s, _ = c.Get(t.Context(), alice)
			return s.Phase == spawn.Failed || s.UID != ""
		})
		if refused := s.Now().Message == spawn.MsgProfile; refused != gone {
			t.Errorf("the right is gone: %v; the server: %+v", gone, s)
		}
		// Until then the start has its place, and alice could begin again at once.
		wait.Until(t, "the start is over", func() bool { return len(c.starts()) == 0 })
		if _, err := c.Stop(t.Context(), alice, time.Second); err != nil {
			t.Fatal(err)
		}
		if !gone {
			if err := client.Tracker().Delete(podsResource, ns, spawn.PodName(server.ID{User: "blocker"})); err != nil {
				t.Fatal(err)
			}
			wait.Until(t, "the place is free", func() bool { return c.cached(server.ID{User: "blocker"}) == nil })
			free = occupied(t, client, c)
		}
	}
}

// TestTakenBackWhileItsPodIsMade: another replica is asked to stop the server just when this one
// makes its pod.
func TestTakenBackWhileItsPodIsMade(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{true, false} { // false: the negative control
		client := newClient()
		cfg := settings(t)
		cfg.SpawnLimit = 1
		c, _ := boot(t, client, cfg)
		free := occupied(t, client, c)
		if err := c.Start(t.Context(), ask(alice)); err != nil {
			t.Fatal(err)
		}
		own := spawn.Subject{Name: "alice"}
		made := make(chan struct{})
		client.PrependReactor("create", "secrets", func(clienttest.Action) (bool, runtime.Object, error) {
			defer close(made)
			if stopped {
				// What Stop does at the other replica before it looks for a pod.
				m, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), ns, own.RecordName())
				if err != nil {
					t.Error(err)
					return false, nil, nil
				}
				r, err := parse(m.(*corev1.ConfigMap), own)
				if err != nil {
					t.Error(err)
				}
				r, _ = r.TakeBack("", c.now())
				text, _ := r.Encode()
				next := m.(*corev1.ConfigMap).DeepCopy()
				next.Data[recordKey], next.ResourceVersion = string(text), "other"
				if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("configmaps"), next, ns); err != nil {
					t.Error(err)
				}
			}
			return false, nil, nil
		})
		free()
		wait.Closed(t, "the pod", made)
		wait.Until(t, "nothing waits", func() bool { return waitingIn(t, client) == 0 && len(c.starts()) == 0 })
		if !wait.Poll(5*time.Second, func() bool { return (podsOf(t, client, alice) == 0) == stopped }) {
			t.Errorf("stopped %v, and there are %d pods", stopped, podsOf(t, client, alice))
		}
	}
}

// starts are the servers that are being created here.
func (c *Cluster) starts() (all []server.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.inflight {
		all = append(all, id)
	}
	return all
}

// TestD7_QueueIsBounded: over all users.
func TestD7_QueueIsBounded(t *testing.T) {
	t.Parallel()
	client := newClient()
	cfg := settings(t)
	cfg.SpawnLimit = 1
	c, _ := boot(t, client, cfg)
	c.maxWaiting = 2
	occupied(t, client, c)
	for i := range 3 {
		var p *spawn.Problem
		err := c.Start(context.Background(), ask(server.ID{User: fmt.Sprint("u", i)})) //nolint:usetesting // no matter
		if full := errors.As(err, &p) && p.Message == spawn.MsgBusy && errors.Is(err, spawn.ErrQueueFull); full != (i == 2) {
			t.Errorf("start %d: %v", i, err)
		}
	}
	if n := waitingIn(t, client); n != 2 {
		t.Errorf("%d wait", n)
	}
}

// TestNobodyOvertakes: a start that finds a free place while another one waits for it comes after
// that one, although that one is left to another replica.
func TestNobodyOvertakes(t *testing.T) {
	t.Parallel()
	client := newClient()
	var k kubelet
	k.serve(t, client, time.Millisecond)
	cfg := settings(t)
	cfg.SpawnLimit = 1
	c, _ := boot(t, client, cfg)
	r := quota.Record{Subject: "alice"}.Enqueue("", quota.Wait{Ticket: "t", Asked: time.Now(), Turn: time.Now(), By: "another"})
	if err := c.change(t.Context(), spawn.Subject{Name: "alice"}, func(quota.Record) (quota.Record, bool, error) { return r, true, nil }); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "alice's start is seen", func() bool { return c.queue.length() == 1 })
	if err := c.Start(t.Context(), ask(server.ID{User: "bob"})); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "both answer", func() bool { return c.running() == 2 })
	if made, _ := k.seen(); !slices.Equal(made, []string{"alice", "bob"}) {
		t.Errorf("made in the order %v", made)
	}
}
