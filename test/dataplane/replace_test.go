package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// answers is what one person got, in order: "old", "new", or the status of a reply
// that no pod wrote.
type answers struct {
	mu  sync.Mutex
	all []string
}

func (a *answers) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, what)
}

func (a *answers) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

func (a *answers) since(n int) []string { return a.list()[n:] }

// keepAsking asks for alice's server without a pause until the test ends.
func (s *env) keepAsking(p *person) *answers {
	got := &answers{}
	cookie := p.cookies("/user/alice/")
	client := s.newPerson().http
	client.Jar = nil
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			req, err := http.NewRequest(http.MethodGet, s.base()+"/user/alice/api", nil)
			if err != nil {
				s.t.Error(err)
				return
			}
			req.Header.Set("Cookie", cookie)
			got.add(whoAnswers(client, req))
		}
	})
	s.t.Cleanup(func() { cancel(); running.Wait() })
	return got
}

func whoAnswers(client *http.Client, req *http.Request) string {
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	var pod seen
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&pod), resp.Body.Close())
	if resp.StatusCode != http.StatusOK || err != nil {
		return resp.Status
	}
	return pod.Marker
}

func (s *env) changePod(name string, change func(*corev1.Pod)) {
	s.t.Helper()
	pods := s.client.CoreV1().Pods(namespace)
	pod, err := pods.Get(s.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	change(pod)
	if _, err := pods.Update(s.t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func notReady(p *corev1.Pod) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
}

func leaving(p *corev1.Pod) {
	now := metav1.Now()
	p.DeletionTimestamp, p.Finalizers = &now, []string{"perijove.test/slow"}
}

// A pod is replaced while its owner works: the next one gets nothing before it is
// ready, the old one nothing once it is leaving though it still answers, and no
// request ever reaches anybody else's.
func TestReplacedPodGetsNothingBeforeItIsReady(t *testing.T) {
	s := newEnv(t)
	first, second := newUpstream(t, "10.99.0.1", "old"), newUpstream(t, "10.99.0.2", "new")
	other := newUpstream(t, "10.99.0.3", "bob")
	s.addPod("bob", server.ID{User: "bob"}, other.addr)
	s.addPod("first", server.ID{User: "alice"}, first.addr, spawned("n1"))
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	got := s.keepAsking(alice)
	enough := func(what string) {
		t.Helper()
		n := len(got.list())
		wait.Until(s.t, "more answers while "+what, func() bool { return len(got.list()) > n+100 })
	}

	s.addPod("second", server.ID{User: "alice"}, second.addr, spawned("n2"), notReady)
	enough("the next pod starts")
	s.changePod("second", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue })
	enough("both are ready") // the oldest serves: never both
	if odd := slices.DeleteFunc(got.list(), func(a string) bool { return a == "old" }); len(odd) > 0 {
		t.Errorf("before the old pod left its owner got %v", unique(odd))
	}

	s.changePod("first", leaving)
	wait.Until(s.t, "the next pod serves", func() bool { return len(second.requests()) > 0 })
	n, before := len(got.list()), len(first.requests())
	enough("the old pod is leaving and still answers")
	// One request may be under way while the second pod's first one arrives.
	if odd := slices.DeleteFunc(got.since(n+1), func(a string) bool { return a == "new" }); len(odd) > 0 || len(first.requests()) > before {
		t.Errorf("after the change its owner got %v; the old pod had %d more requests", unique(odd), len(first.requests())-before)
	}
	// Make before break: not one answer came from anything but a ready pod of alice's.
	if odd := slices.DeleteFunc(got.list(), func(a string) bool { return a == "old" || a == "new" }); len(odd) > 0 {
		t.Errorf("during the replacement its owner got %v", unique(odd))
	}

	s.changePod("second", notReady)
	s.routed("/user/alice/api", false)
	before = len(second.requests())
	enough("no pod is ready")
	if len(second.requests()) > before {
		t.Errorf("a pod that is not ready got %d requests", len(second.requests())-before)
	}
	if len(other.requests()) > 0 {
		t.Errorf("bob's pod got %d of alice's requests", len(other.requests()))
	}
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// K8: the next pod of another user gets a leaving pod's address at once. Alice's route
// is gone with the deletionTimestamp, and a request still under way shows the wrong
// secret.
func TestK8_AddressOfALeavingPodIsReused(t *testing.T) {
	s := newEnv(t)
	key := []byte(strings.Repeat("k", 32))
	first := newUpstream(t, "10.99.0.1", "alice")
	first.guard(contract.ServerSecret(key, namespace, "jupyter-alice", "n1"))
	s.addPod("jupyter-alice", server.ID{User: "alice"}, first.addr, spawned("n1"))
	s.routed("/user/alice/api", true)
	alice := s.login("alice")
	alice.visit("/user/alice/lab")
	got := s.keepAsking(alice)
	wait.Until(s.t, "alice works", func() bool { return slices.Contains(got.list(), "alice") })

	s.changePod("jupyter-alice", leaving)
	first.stop()
	second := newUpstream(t, "10.99.0.1", "mallory")
	second.guard(contract.ServerSecret(key, namespace, "jupyter-mallory", "n2"))
	s.addPod("jupyter-mallory", server.ID{User: "mallory"}, second.addr, spawned("n2"))
	s.routed("/user/mallory/api", true)
	n := len(got.list())
	wait.Until(s.t, "alice goes on asking", func() bool { return len(got.list()) > n+100 })
	if slices.Contains(got.list(), "mallory") || len(second.requests()) > 0 {
		t.Errorf("mallory's server took %d of alice's requests", len(second.requests()))
	}
	if odd := slices.DeleteFunc(got.since(n), func(a string) bool { return strings.HasPrefix(a, "424") }); len(odd) > 0 {
		t.Errorf("without a pod alice got %v, want 424", unique(odd))
	}
	carol := s.login("carol")
	wait.Until(s.t, "mallory's own route works", func() bool { return carol.visit("/user/mallory/lab").code == 200 }) // negative control
}
