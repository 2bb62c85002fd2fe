package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/wait"
)

// pair is two replicas over one API. The first one can be killed at a write.
type pair struct {
	t      *testing.T
	client *fake.Clientset
	yard   *yard // where pods of pools run
	clock  *clustertest.Clock
	a, b   *Cluster
	stop   func() // ends a
	// left is how many more writes a makes before it dies; many before it is armed.
	left   atomic.Int64
	writes atomic.Int64 // since it was armed
}

const unarmed = 1 << 40

func newPair(t *testing.T, s Settings) *pair {
	t.Helper()
	clock := clustertest.NewClock()
	p := &pair{t: t, client: newClientAt(clock.Now), clock: clock}
	p.left.Store(unarmed)
	versions(p.client)
	p.yard = yardOf(t, p.client)
	mortal := fake.NewClientset()
	mortal.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		if slices.Contains([]string{"create", "update", "patch", "delete"}, a.GetVerb()) {
			if p.left.Add(-1) >= 0 {
				p.writes.Add(1)
			}
		}
		if p.dead() {
			return true, nil, errors.New("spawner was killed")
		}
		o, err := p.client.Invokes(a, nil)
		return true, o, err
	})
	mortal.PrependWatchReactor("*", watches(p.client))
	first, err := New(mortal, mortal, clock.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), s)
	if err != nil {
		t.Fatal(err)
	}
	p.yard.lead(t)(first)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	<-first.Synced()
	p.a, p.stop = first, func() {
		cancel()
		<-done
		done <- nil
	}
	t.Cleanup(p.stop)
	p.b, _ = bootWith(t, p.client, clock.Now, s, p.yard.lead(t))
	return p
}

func (p *pair) dead() bool { return p.left.Load() < 0 }

// kill lets a make so many more writes.
func (p *pair) kill(after int) { p.left.Store(int64(after)) }

// want is what there must be of alice's in the end.
type want struct {
	pods, named int
	homes       []string
	// gone says that the user is: nothing is remembered.
	gone bool
}

// mortalCase is something that a spawner does which is killed at it.
type mortalCase struct {
	what     string
	settings func(*Settings)
	before   func(*testing.T, *pair)
	// act is done by a, and again by b as the user would.
	act func(context.Context, *pair, *Cluster) error
	// alone says that nobody asks again: another replica brings it to an end.
	alone bool
	want  want
}

func startOf(id server.ID) func(context.Context, *pair, *Cluster) error {
	return func(ctx context.Context, _ *pair, c *Cluster) error { return c.Start(ctx, ask(id)) }
}

// runs starts a server and lets it answer.
func runs(id server.ID) func(*testing.T, *pair) {
	return func(t *testing.T, p *pair) {
		t.Helper()
		if err := p.a.Start(t.Context(), ask(id)); err != nil {
			t.Fatal(err)
		}
		(&api{t: t, client: p.client}).change(id, memory.Answer)
		p.settle(t)
	}
}

// waitsHere lets alice's start wait at a; p's one place is taken.
func waitsHere(t *testing.T, p *pair) {
	t.Helper()
	occupied(t, p.client, p.a, p.b)
	if err := p.a.Start(t.Context(), ask(alice)); err != nil || !p.a.waits(alice) {
		t.Fatalf("%v; it waits: %v", err, p.a.waits(alice))
	}
	p.settle(t)
}

// settle waits until both replicas have seen all that there is.
func (p *pair) settle(t *testing.T) {
	t.Helper()
	wait.Until(t, "both replicas have seen everything", func() bool {
		pods, maps := pods(t, p.client), recordsIn(t, p.client)
		for _, c := range []*Cluster{p.a, p.b} {
			if len(c.pods.GetStore().List()) != len(pods) || len(c.records.GetStore().List()) != len(maps) || len(c.starts()) > 0 {
				return false
			}
			for _, m := range maps {
				if s, _ := spawn.RecordSubject(m.Name, []byte(m.Data[recordKey])); c.cachedRecord(s) == nil || c.cachedRecord(s).ResourceVersion != m.ResourceVersion {
					return false
				}
			}
		}
		return true
	})
}

func onePlace(s *Settings) { s.SpawnLimit = 1 }

// pooledOne is a pool of one pod.
func pooledOne(s *Settings) { s.Policy = pooledPolicy(1) }

func pooledInTurn(s *Settings) {
	onePlace(s)
	pooledOne(s)
}

func homesOfServers(s *Settings) {
	s.Policy = func() spawn.Policy {
		return spawn.Policy{Profiles: spawn.Catalog{{DisplayName: "Lab", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1", StorageHomes: "server"}}}}
	}
}

func mortalCases() []mortalCase {
	own, none := []string{"home-alice"}, []string(nil)
	stop := func(id server.ID) func(context.Context, *pair, *Cluster) error {
		return func(ctx context.Context, _ *pair, c *Cluster) error {
			_, err := c.Stop(ctx, id, time.Second)
			return err
		}
	}
	deletes := func(homes bool) func(context.Context, *pair, *Cluster) error {
		return func(ctx context.Context, _ *pair, c *Cluster) error { return c.DeleteUser(ctx, "alice", homes) }
	}
	crew := func(ctx context.Context, _ *pair, c *Cluster) error {
		return c.Start(ctx, spawn.Request{ID: alice, Owner: access.User{Name: "alice", Groups: []string{"crew"}}})
	}
	nothing := func(*testing.T, *pair) {}
	return []mortalCase{
		{what: "a start", before: nothing, act: startOf(alice), want: want{pods: 1, homes: own}},
		{what: "a start of a named server", before: nothing, act: startOf(demo), want: want{pods: 1, named: 1, homes: own}},
		{what: "a start with a home of its own", settings: homesOfServers, before: nothing, act: startOf(demo), want: want{pods: 1, named: 1, homes: []string{"home-alice--demo"}}},
		{what: "a start that is counted with others", before: nothing, act: crew, want: want{pods: 1, homes: own}},
		{what: "a start in place of a pod that failed", before: func(t *testing.T, p *pair) {
			runs(alice)(t, p)
			(&api{t: t, client: p.client}).change(alice, memory.Age)
			wait.Until(t, "it is seen", func() bool { return p.a.phase(p.a.cached(alice)) == spawn.Stopped })
		}, act: startOf(alice), want: want{pods: 1, homes: own}},
		{what: "the request of a start that waits", settings: onePlace, before: func(t *testing.T, p *pair) {
			occupied(t, p.client, p.a, p.b)
		}, act: func(ctx context.Context, p *pair, c *Cluster) error {
			err := c.Start(ctx, ask(alice))
			if c == p.b {
				p.free()
			}
			return err
		}, want: want{pods: 1, homes: own}},
		{what: "a start whose turn comes", settings: onePlace, before: waitsHere, alone: true, act: func(_ context.Context, p *pair, _ *Cluster) error {
			p.free()
			wait.Until(p.t, "it is made, or its spawner is dead", func() bool { return p.dead() || aliceWaits(p.client) == 0 && len(p.a.starts()) == 0 })
			return nil
		}, want: want{pods: 1, homes: own}},
		{what: "a stop of a start that waits", settings: onePlace, before: waitsHere, act: stop(alice), want: want{homes: none}},
		{what: "a stop", before: runs(alice), act: stop(alice), want: want{homes: own}},
		{what: "a stop of a named server", before: runs(demo), act: stop(demo), want: want{named: 1, homes: own}},
		{what: "the deletion of a named server", before: runs(demo), act: func(ctx context.Context, _ *pair, c *Cluster) error {
			if _, err := c.Stop(ctx, demo, time.Second); err != nil {
				return err
			}
			return c.Forget(ctx, demo)
		}, want: want{homes: own}},
		{what: "a cull", before: runs(alice), act: func(ctx context.Context, p *pair, c *Cluster) error {
			_, err := c.endIdle(ctx, p.b.cached(alice))
			if c == p.b { // as Kubernetes does then
				(&api{t: p.t, client: p.client}).change(alice, memory.Age)
			}
			return err
		}, want: want{pods: 1, homes: own}},
		{what: "the deletion of a user", before: runs(demo), act: deletes(false), want: want{homes: own}},
		{what: "the deletion of a user with all files", before: runs(demo), act: deletes(true), want: want{homes: none, gone: true}},
		{what: "a start from a pool", settings: pooledOne, before: func(t *testing.T, p *pair) {
			p.yard.fill(t, 1, p.a, p.b)
		}, act: startOf(alice), want: want{pods: 1}},
		{what: "a start from a pool whose turn comes", settings: pooledInTurn, before: func(t *testing.T, p *pair) {
			p.yard.fill(t, 1, p.a, p.b)
			waitsHere(t, p)
		}, alone: true, act: func(_ context.Context, p *pair, _ *Cluster) error {
			p.free()
			wait.Until(p.t, "it is made, or its spawner is dead", func() bool { return p.dead() || aliceWaits(p.client) == 0 && len(p.a.starts()) == 0 })
			return nil
		}, want: want{pods: 1}},
	}
}

// free lets the blocker answer.
func (p *pair) free() {
	(&api{t: p.t, client: p.client}).change(server.ID{User: "blocker"}, memory.Answer)
}

// TestR5_OneOfTwoIsKilledAtEachWrite kills one of two replicas at its first, second, … write of all
// that spawners do. The user asks the other one again, or it takes over by itself. In the end nothing
// is doubled, nothing orphaned, and records say what there is.
func TestR5_OneOfTwoIsKilledAtEachWrite(t *testing.T) {
	t.Parallel()
	for _, c := range mortalCases() {
		t.Run(strings.ReplaceAll(c.what, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for after := 0; ; after++ {
				p := c.prepare(t)
				p.kill(after)
				err := c.act(t.Context(), p, p.a)
				over := !p.dead()
				if over && err != nil {
					t.Errorf("nobody was killed, and %v", err)
				}
				p.kill(-1)
				p.stop()
				if faults := c.faultsInTheEnd(t, p); len(faults) > 0 {
					t.Errorf("killed after %d writes: %s", after, strings.Join(faults, "; "))
				}
				if over {
					t.Logf("killed before each of %d writes", after)
					if after == 0 {
						t.Error("it writes nothing")
					}
					return
				}
			}
		})
	}
}

func (c mortalCase) prepare(t *testing.T) *pair {
	t.Helper()
	s := settings(t)
	s.StartTimeout = time.Hour
	if c.settings != nil {
		c.settings(&s)
	}
	p := newPair(t, s)
	c.before(t, p)
	return p
}

// faultsInTheEnd lets time pass and the user ask again, and returns what is still wrong then.
func (c mortalCase) faultsInTheEnd(t *testing.T, p *pair) (faults []string) {
	t.Helper()
	if !c.alone {
		if err := c.act(t.Context(), p, p.b); err != nil {
			faults = append(faults, fmt.Sprint("asked again: ", err))
		}
	}
	p.clock.Advance(2 * spawn.Lease)
	var left []string
	wait.Poll(5*time.Second, func() bool {
		p.b.tendOnce(t.Context())
		if c.want.pods > 0 && c.alone { // what the kubelet asks for
			if pod := p.b.cached(alice); pod != nil {
				_ = p.b.ensureSecret(t.Context(), pod)
			}
		}
		left = c.want.faults(t, p.client)
		return len(left) == 0
	})
	return append(faults, left...)
}

func recordsIn(t *testing.T, client *fake.Clientset) []corev1.ConfigMap {
	t.Helper()
	l, err := client.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// faults compares all that there is of alice's with what there must be.
func (w want) faults(t *testing.T, client *fake.Clientset) (faults []string) {
	t.Helper()
	say := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	held, all := map[string]bool{}, 0
	secrets, err := client.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods(t, client) {
		id, _ := spawn.Identify(&pod)
		if id.User != "alice" {
			continue
		}
		all++
		if len(spawn.Holds(&pod, id)) > 0 {
			held[pod.Annotations[contract.AnnotationNonce]] = true
		}
		owned := 0
		for _, s := range secrets.Items {
			if len(s.OwnerReferences) == 1 && s.OwnerReferences[0].UID == pod.UID {
				owned++
			}
		}
		say(owned != 1, "pod %s has %d secrets", pod.Name, owned)
	}
	say(all != w.pods, "%d pods", all)
	for _, s := range secrets.Items {
		say(len(s.OwnerReferences) != 1, "secret %s goes with no pod", s.Name)
	}
	homes := []string{}
	for name := range claimsIn(t, client) {
		homes = append(homes, name)
	}
	slices.Sort(homes)
	say(!slices.Equal(homes, w.homes), "homes %v", homes)
	for _, m := range recordsIn(t, client) {
		s, _ := spawn.RecordSubject(m.Name, []byte(m.Data[recordKey]))
		if !s.Shared && s.Name != "alice" {
			continue
		}
		r, err := parse(&m, s)
		if err != nil {
			t.Fatal(err)
		}
		say(w.gone && !r.IsEmpty(), "the record of a user who is gone has %+v", r)
		faults = append(faults, w.recordFaults(s, r, held)...)
	}
	return faults
}

// recordFaults compares a record with the pods that there are, by their nonces.
func (w want) recordFaults(s spawn.Subject, r quota.Record, held map[string]bool) (faults []string) {
	if len(r.Holds) != len(held) {
		faults = append(faults, fmt.Sprintf("the record of %s holds %v", s.Name, r.Holds))
	}
	for _, h := range r.Holds {
		if !held[h.Nonce] {
			faults = append(faults, fmt.Sprintf("the record of %s holds a pod that is not there", s.Name))
		}
	}
	if !s.Shared && (len(r.Waiting) > 0 || len(r.Named) != w.named) {
		faults = append(faults, fmt.Sprintf("%d starts wait, %d names are kept", len(r.Waiting), len(r.Named)))
	}
	return faults
}

// TestKilledSpawnersLeaveFaults is the negative control: without the other replica what a killed one
// has left is seen as wrong.
func TestKilledSpawnersLeaveFaults(t *testing.T) {
	t.Parallel()
	for _, c := range mortalCases()[:4] {
		p := c.prepare(t)
		p.kill(1)
		if err := c.act(t.Context(), p, p.a); err == nil {
			t.Errorf("%s: it was not killed", c.what)
		}
		if len(c.want.faults(t, p.client)) == 0 {
			t.Errorf("%s: nothing is wrong after one write", c.what)
		}
	}
}
