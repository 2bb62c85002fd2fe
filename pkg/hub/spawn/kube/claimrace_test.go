package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// together holds the first calls of a kind until there are so many of them, so that each was decided before the others were
// done. Those that come later pass.
func (y *yard) together(n int, of func(clienttest.Action) bool) {
	var mu sync.Mutex
	met, all := 0, make(chan struct{})
	y.see(func(a clienttest.Action) clienttest.Action {
		if !of(a) {
			return a
		}
		mu.Lock()
		if met++; met == n {
			close(all)
		}
		mu.Unlock()
		<-all
		return a
	})
}

// isClaim reports whether a patch makes a waiting pod a server.
func isClaim(a clienttest.Action) bool {
	patch, ok := a.(clienttest.PatchAction)
	return ok && patch.GetSubresource() == "" && strings.Contains(string(patch.GetPatch()), contract.AnnotationClaimed)
}

// careless takes the version out of claims, as if they were patches of any version.
func careless(a clienttest.Action) clienttest.Action {
	if !isClaim(a) {
		return a
	}
	patch := a.(clienttest.PatchActionImpl)
	patch.Patch = regexp.MustCompile(`"resourceVersion":"[0-9]*",?`).ReplaceAll(patch.Patch, nil)
	return patch
}

// startTogether asks two replicas at one moment.
func startTogether(t *testing.T, a, b *Cluster, first, second server.ID) {
	t.Helper()
	var all sync.WaitGroup
	for c, id := range map[*Cluster]server.ID{a: first, b: second} {
		all.Go(func() {
			if err := c.Start(t.Context(), ask(id)); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	all.Wait()
}

// owners counts the pods of users.
func (y *yard) owners(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, pod := range pods(t, y.client) {
		if user := pod.Annotations[contract.LabelUsername]; user != "" {
			all[user]++
		}
	}
	return all
}

// onePodForTwo lets two replicas claim the only waiting pod for two users at one moment, and returns how many pods each
// has then.
func onePodForTwo(t *testing.T, guarded bool) map[string]int {
	t.Helper()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 1, nil)
	a, _ := y.replica(t, s)
	b, _ := y.replica(t, s)
	y.fill(t, 1, a, b)
	if !guarded {
		y.see(careless)
	}
	y.together(2, isClaim)
	startTogether(t, a, b, server.ID{User: "a"}, server.ID{User: "b"})
	return y.owners(t)
}

// TestR5_TwoReplicasGiveOnePodOnce: of two users one gets the waiting pod, and the other one a pod of their own.
func TestR5_TwoReplicasGiveOnePodOnce(t *testing.T) {
	t.Parallel()
	if got := onePodForTwo(t, true); got["a"] != 1 || got["b"] != 1 {
		t.Errorf("pods by user: %v", got)
	}
	if got := onePodForTwo(t, false); got["a"] == 1 && got["b"] == 1 {
		t.Error("negative control: claims that name no version give one pod to one user only")
	}
}

// onePodForOne lets two replicas start one server at one moment, and returns how many pods it has then. Without the guard
// a write of a record that is out of date is let through.
func onePodForOne(t *testing.T, guarded, mixed bool) int {
	t.Helper()
	y, s := newYard(t), settings(t)
	unguarded := forgetful(y)
	s.Policy = poolPolicy(t, 4, nil)
	a, _ := y.replica(t, s)
	other := s
	if mixed { // this replica does not know the pool yet
		other.Policy = poolPolicy(t, 0, nil)
	}
	b, _ := y.replica(t, other)
	y.fill(t, 4, a)
	wait.Until(t, "the other replica sees the pool", func() bool { return len(b.pooled()) == 4 })
	unguarded.Store(!guarded)
	y.together(2, func(a clienttest.Action) bool { return a.Matches("create", "configmaps") })
	startTogether(t, a, b, alice, alice)
	return y.owners(t)["alice"]
}

// forgetful lets every write of a record through while it is on, as if none named a version.
func forgetful(y *yard) *atomic.Bool {
	on := &atomic.Bool{}
	resource := corev1.SchemeGroupVersion.WithResource("configmaps")
	y.client.PrependReactor("create", "configmaps", func(a clienttest.Action) (bool, runtime.Object, error) {
		if !on.Load() {
			return false, nil, nil
		}
		m := a.(clienttest.CreateAction).GetObject().(*corev1.ConfigMap)
		if err := y.client.Tracker().Create(resource, m, ns); err != nil {
			return true, m, y.client.Tracker().Update(resource, m, ns)
		}
		return true, m, nil
	})
	return on
}

// TestR5_TwoReplicasGiveOneUserOnePod: two requests to start one server, at two replicas at one moment, end in one pod: also
// when one of them knows no pool.
func TestR5_TwoReplicasGiveOneUserOnePod(t *testing.T) {
	t.Parallel()
	for range 5 {
		if n := onePodForOne(t, true, false); n != 1 {
			t.Errorf("alice has %d pods", n)
		}
		if n := onePodForOne(t, true, true); n != 1 {
			t.Errorf("alice has %d pods where one replica knows no pool", n)
		}
	}
	twice := false
	for range 5 { // both may choose one waiting pod by chance
		twice = twice || onePodForOne(t, false, false) == 2
	}
	if !twice {
		t.Error("negative control: without the versions of records alice has one pod all the same")
	}
}

// TestAPodThatDied: a waiting pod that is gone is nobody's server; the start takes another one, and with none it is cold.
func TestAPodThatDied(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			y, s := newYard(t), settings(t)
			s.Policy = poolPolicy(t, size, nil)
			c, _ := y.replica(t, s)
			y.fill(t, size, c)
			var once sync.Once
			y.client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
				if isClaim(a) {
					once.Do(func() { // just before the claim: no cache knows
						if err := y.client.Tracker().Delete(podsResource, ns, a.(clienttest.PatchAction).GetName()); err != nil {
							t.Error(err)
						}
					})
				}
				return false, nil, nil
			})
			if err := c.Start(t.Context(), ask(alice)); err != nil {
				t.Fatal(err)
			}
			if pod := y.podOf(t, "alice"); spawn.IsPooled(pod) != (size == 2) {
				t.Errorf("of %d waiting pods, one of them dead, alice has %s", size, pod.Name)
			}
			wait.Until(t, "it answers", func() bool {
				got, err := c.Get(t.Context(), alice)
				return err == nil && got.Phase == spawn.Answering
			})
			if r := c.record(spawn.Subject{Name: "alice"}); r.Holds[""].Pod != map[bool]string{true: y.podOf(t, "alice").Name}[size == 2] {
				t.Errorf("the record names the pod %q", r.Holds[""].Pod)
			}
		})
	}
}

// TestAClaimThatIsRefused: a policy of the cluster that allows no claims keeps nobody from starting.
func TestAClaimThatIsRefused(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 1, nil)
	c, _ := y.replica(t, s)
	y.fill(t, 1, c)
	y.client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		return isClaim(a), nil, apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "pool", errors.New("a policy says no"))
	})
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	if pod := y.podOf(t, "alice"); spawn.IsPooled(pod) {
		t.Errorf("alice has %s", pod.Name)
	}
}

// TestAPodThatTakesNoOrder is deleted, and its server gets a pod of its own.
func TestAPodThatTakesNoOrder(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusInternalServerError, http.StatusBadRequest} {
		y, s := newYard(t), settings(t)
		s.Policy = poolPolicy(t, 1, nil)
		c, _ := y.replica(t, s)
		y.fill(t, 1, c)
		waiting := c.pooled()[0]
		y.of(waiting).refuses = status
		if err := c.Start(t.Context(), ask(alice)); err != nil {
			t.Fatal(err)
		}
		if pod := y.podOf(t, "alice"); spawn.IsPooled(pod) {
			t.Errorf("%d: alice has %s", status, pod.Name)
		}
		if r := c.record(spawn.Subject{Name: "alice"}); r.Holds[""].Pod != "" {
			t.Errorf("%d: the record names the pod %q", status, r.Holds[""].Pod)
		}
	}
}

// TestR5_TwoReplicasAndAPodThatTakesNoOrder: both go on with the same start. One of them goes the cold way, and the other
// one's user gets that server too, and no error.
func TestR5_TwoReplicasAndAPodThatTakesNoOrder(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 1, nil)
	a, _ := y.replica(t, s)
	b, _ := y.replica(t, s)
	y.fill(t, 1, a, b)
	y.of(a.pooled()[0]).refuses = http.StatusUnauthorized
	y.together(2, func(a clienttest.Action) bool { return a.Matches("create", "configmaps") })
	y.together(2, isClaim)
	y.together(2, func(a clienttest.Action) bool { return a.Matches("update", "configmaps") }) // the record names another pod
	startTogether(t, a, b, alice, alice)
	if n := y.owners(t)["alice"]; n != 1 {
		t.Errorf("alice has %d pods", n)
	}
}

// TestAPodThatEndsAfterItsOrder: the server starts cold by itself, from no pool again.
func TestAPodThatEndsAfterItsOrder(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 2, nil)
	c, _ := y.replica(t, s)
	y.fill(t, 2, c)
	y.mu.Lock()
	y.silent = true // servers of pools do not answer
	y.mu.Unlock()
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	pod := y.podOf(t, "alice")
	pod.Status.ContainerStatuses[0].RestartCount = 1
	if _, err := y.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "alice has a pod of her own that answers", func() bool {
		got, err := c.Get(t.Context(), alice)
		return err == nil && got.Phase == spawn.Answering && got.UID != string(pod.UID)
	})
	if own := y.podOf(t, "alice"); spawn.IsPooled(own) {
		t.Errorf("alice has %s", own.Name)
	}
}

// TestAnOrderIsGivenAgain: a container that begins anew waits for an order, and gets the same one. So does a pod whose claimer
// was killed before the order.
func TestAnOrderIsGivenAgain(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 1, nil)
	c, _ := y.replica(t, s)
	y.fill(t, 1, c)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	answering := func() bool {
		got, err := c.Get(t.Context(), alice)
		return err == nil && got.Phase == spawn.Answering
	}
	wait.Until(t, "it answers", answering)
	pod := y.podOf(t, "alice")
	p := y.of(pod)
	y.mu.Lock()
	before := *p.order
	p.order = nil
	y.mu.Unlock()
	pod.Status.ContainerStatuses[0].RestartCount = 1
	if _, err := y.client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "it has its order again", func() bool {
		y.mu.Lock()
		defer y.mu.Unlock()
		return p.order != nil
	})
	if p.order.Env[contractSecret] != before.Env[contractSecret] || p.order.Env["PERIJOVE_USER"] != "alice" {
		t.Errorf("the second order is %v", p.order)
	}
	wait.Until(t, "it answers again", answering)
}

const contractSecret = "PERIJOVE_SERVER_SECRET"

// TestAKilledClaimerIsFollowed: the pod is claimed and was told nothing; another replica tells it.
func TestAKilledClaimerIsFollowed(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 1, nil)
	a, stop := y.replica(t, s)
	y.fill(t, 1, a)
	ctx, kill := context.WithCancel(t.Context())
	y.client.PrependReactor("patch", "pods", func(act clienttest.Action) (bool, runtime.Object, error) {
		if isClaim(act) {
			kill()
		}
		return false, nil, nil
	})
	p := y.of(a.pooled()[0])
	y.mu.Lock()
	p.refuses = http.StatusServiceUnavailable // while the first one lives
	y.mu.Unlock()
	_ = a.Start(ctx, ask(alice))
	stop()
	y.mu.Lock()
	p.refuses = 0
	y.mu.Unlock()
	b, _ := y.replica(t, s)
	wait.Until(t, "it answers", func() bool {
		got, err := b.Get(t.Context(), alice)
		return err == nil && got.Phase == spawn.Answering
	})
	y.podOf(t, "alice")
}
