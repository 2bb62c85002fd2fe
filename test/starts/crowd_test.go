package starts

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/wait"
)

// budget is how many calls of the API a second all replicas together may make.
const budget = 100

func id(user string) server.ID { return server.ID{User: user} }

func ask(user string) spawn.Request {
	return spawn.Request{ID: id(user), Owner: access.User{Name: user}}
}

// lab is one profile, and no quotas.
func lab() spawn.Document {
	return spawn.Document{Profiles: spawn.Catalog{{DisplayName: "Lab", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1"}}}}
}

// startAll asks the replicas in turn for a server of each user, all at one moment, and returns how
// long it took until all were accepted, how many calls of the API, and how long until all answer.
func (w *world) startAll(replicas []*kube.Cluster, users []string) (accepted time.Duration, calls int, answer time.Duration) {
	w.t.Helper()
	began := time.Now()
	var asked sync.WaitGroup
	for i, user := range users {
		asked.Go(func() {
			if err := replicas[i%len(replicas)].Start(w.t.Context(), ask(user)); err != nil {
				w.t.Error(err)
			}
		})
	}
	asked.Wait()
	accepted, calls = time.Since(began), w.callsSoFar()
	if !wait.Poll(2*time.Minute, func() bool { return w.answering(replicas[0], users) == len(users) }) {
		for _, user := range users {
			if s, err := replicas[0].Get(w.t.Context(), id(user)); err != nil || s.Phase != spawn.Answering {
				w.t.Errorf("%s's server does not answer: %+v, %v", user, s.Status, err)
			}
		}
		w.t.FailNow()
	}
	return accepted, calls, time.Since(began)
}

// TestR5_TwoHundredStartsAtOnce: two replicas that may make 100 calls of the API a second together,
// and 20 places. All starts finish, in the order in which they were asked for; none is lost, none
// doubled, and afterwards records, pods, secrets and homes belong together. A second time the homes
// are there.
func TestR5_TwoHundredStartsAtOnce(t *testing.T) {
	const starts, places = 200, 20
	w := newWorld(t)
	limit := flowcontrol.NewTokenBucketRateLimiter(budget, 1)
	s := w.settings(places, lab())
	replicas := []*kube.Cluster{w.replica("a", limit, s), w.replica("b", limit, s)}
	var users []string
	for i := range starts {
		users = append(users, fmt.Sprintf("u%03d", i))
	}
	for _, round := range []struct {
		what string
		per  float64 // calls a start
	}{{"with new homes", 6.5}, {"with homes that are there", 5.5}} {
		w.forget()
		accepted, acceptedBy, answer := w.startAll(replicas, users)
		calls, kinds := w.spent()
		per, second := float64(calls)/starts, func(took time.Duration) float64 { return starts / took.Seconds() }
		t.Logf("%s: %.0f starts accepted a second, %.0f finished; %.2f calls a start, %.0f a second: %s",
			round.what, second(accepted), second(answer), per, float64(calls)/answer.Seconds(), kinds)
		if per > round.per {
			t.Errorf("%s: %.2f calls a start, more than %.1f", round.what, per, round.per)
		}
		if until := float64(acceptedBy) / starts; until > 4 {
			t.Errorf("%s: %.2f calls a start until all were accepted: %d a second accept fewer than 25", round.what, until, budget)
		}
		w.wantOnce(users)
		w.wantInOrder(places)
		w.wantWhole(users)
		w.stopAll(replicas, users)
	}
}

// wantOnce: one pod was made for each user, and no more.
func (w *world) wantOnce(users []string) {
	w.t.Helper()
	made := map[string]int{}
	for _, pod := range w.pods() {
		made[pod.Annotations[contract.LabelUsername]]++
	}
	for _, user := range users {
		if made[user] != 1 {
			w.t.Errorf("%d pods were made for %s", made[user], user)
		}
	}
	if len(w.pods()) != len(users) {
		w.t.Errorf("%d pods were made for %d users", len(w.pods()), len(users))
	}
}

// wantInOrder: of the starts that waited, the pods were made in the order of asking. As many as
// there are places are made at one time, on each replica, and their calls overtake each other.
func (w *world) wantInOrder(places int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var made, asked []string
	for _, pod := range w.made {
		if user := pod.Annotations[contract.LabelUsername]; !w.asked[user].IsZero() {
			made = append(made, user)
		}
	}
	asked = slices.SortedFunc(slices.Values(made), func(a, b string) int { return cmp.Or(w.asked[a].Compare(w.asked[b]), cmp.Compare(a, b)) })
	if len(made) < len(w.made)/2 {
		w.t.Errorf("only %d of %d starts waited", len(made), len(w.made))
	}
	for i, user := range asked {
		if at := slices.Index(made, user); at > i+2*places || at < i-2*places {
			w.t.Errorf("%s was the %dth to ask, and the %dth that was made", user, i, at)
		}
	}
}

// wantWhole: each user has a record that holds the pod and lets nothing wait, a home, and a secret
// that is the pod's.
func (w *world) wantWhole(users []string) {
	w.t.Helper()
	ctx, all := w.t.Context(), metav1.ListOptions{}
	records := map[string]quota.Record{}
	wait.Until(w.t, "nothing waits in the records", func() bool {
		l, err := w.client.CoreV1().ConfigMaps(w.ns).List(ctx, all)
		if err != nil {
			w.t.Fatal(err)
		}
		waiting := 0
		for _, m := range l.Items {
			if r, ok := record(&m); ok {
				records[r.Subject] = r
				waiting += len(r.Waiting)
			}
		}
		return waiting == 0
	})
	secrets, err := w.client.CoreV1().Secrets(w.ns).List(ctx, all)
	if err != nil {
		w.t.Fatal(err)
	}
	owned := map[string]int{}
	for _, s := range secrets.Items {
		for _, owner := range s.OwnerReferences {
			owned[string(owner.UID)]++
		}
	}
	homes, err := w.client.CoreV1().PersistentVolumeClaims(w.ns).List(ctx, all)
	if err != nil || len(homes.Items) != len(users) {
		w.t.Errorf("%d homes, %v", len(homes.Items), err)
	}
	pods := map[string]*corev1.Pod{}
	for _, pod := range w.pods() {
		pods[pod.Annotations[contract.LabelUsername]] = pod
	}
	for _, user := range users {
		r, pod := records[user], pods[user]
		if len(r.Holds) != 1 || !r.Has("", pod.Annotations[contract.AnnotationNonce]) {
			w.t.Errorf("the record of %s holds %v", user, r.Holds)
		}
		if owned[string(pod.UID)] != 1 {
			w.t.Errorf("%s's pod has %d secrets", user, owned[string(pod.UID)])
		}
	}
}

// stopAll stops all servers.
func (w *world) stopAll(replicas []*kube.Cluster, users []string) {
	w.t.Helper()
	var all sync.WaitGroup
	for i, user := range users {
		all.Go(func() {
			if gone, err := replicas[i%len(replicas)].Stop(w.t.Context(), id(user), 30*time.Second); err != nil || !gone {
				w.t.Errorf("%s's server is gone: %v, %v", user, gone, err)
			}
		})
	}
	all.Wait()
}

// TestR5_StartsWithoutAWait: with places for all, starts of users whose homes are there cost four calls
// each until they answer, so that 100 calls a second start 25 servers a second.
func TestR5_StartsWithoutAWait(t *testing.T) {
	const starts, most = 100, 4.5
	w := newWorld(t)
	limit := flowcontrol.NewTokenBucketRateLimiter(budget, 1)
	s := w.settings(2*starts, lab())
	var users []string
	for i := range starts {
		user := fmt.Sprintf("w%03d", i)
		users = append(users, user)
		home := spawn.Claim(s.Site, s.Policy().Profiles[0], id(user))
		if _, err := w.client.CoreV1().PersistentVolumeClaims(w.ns).Create(t.Context(), home, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	replicas := []*kube.Cluster{w.replica("a", limit, s), w.replica("b", limit, s)}
	w.forget()
	_, _, answer := w.startAll(replicas, users)
	calls, kinds := w.spent()
	per := float64(calls) / starts
	t.Logf("%.0f starts finished a second; %.2f calls a start: %s", starts/answer.Seconds(), per, kinds)
	if per > most {
		t.Errorf("%.2f calls a start, more than %.1f", per, most)
	}
	if n := w.waited(users); n > 0 {
		t.Errorf("%d starts waited", n)
	}
	w.wantOnce(users)
	w.wantWhole(users)
}
