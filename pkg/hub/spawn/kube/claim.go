package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// A start takes a waiting pod in these steps, each of which may be the last one before a kill:
//
//  1. The owner's record names the pod, with all that the start takes. Two replicas that start one
//     server read the same record, and so mean the same pod.
//  2. One patch makes the pod the server: owner, nonce, order. It names the version that was seen, so
//     of two servers one gets the pod.
//  3. The order goes to the pod. Every replica sends it to a claimed pod that waits.
//
// A pod that is lost before 2 is replaced in the record by another one, or by none: then the start goes
// the cold way. A pod that takes no order is deleted first.

const (
	// claimTries is how many pods a start tries to take.
	claimTries = 3
	// orderWait bounds the sending of an order: a process that waits answers within milliseconds.
	orderWait = 2 * time.Second
	// discardGrace is the grace period of a pod that was nobody's yet.
	discardGrace = 1
)

// What became of a start of a profile with a pool.
const (
	claimWarm   = "warm"
	claimEmpty  = "empty"
	claimLost   = "lost"
	claimFailed = "failed"
	claimHome   = "home"
)

// errOvertaken is a start that another replica goes on with: its record names another pod by now, or none.
var errOvertaken = errors.New("another replica goes on with the start")

// errLost is a waiting pod that somebody else took, or that is gone.
var errLost = errors.New("the waiting pod is not there any more")

// heldError is a start that another replica makes of a waiting pod, or that it makes a pod for.
type heldError struct{ hold quota.Hold }

// Error is for logs.
func (e *heldError) Error() string { return "another replica starts the server" }

// inWay reports a start in the record that this one must join: one of the two is from a pool, and the
// name of a pod keeps them from making two pods.
func inWay(r quota.Record, a quota.Ask) error {
	if h, ok := r.Holds[a.Key]; ok && h.Nonce != a.Nonce && (h.Pod != "" || a.Pod != "") {
		return &heldError{h}
	}
	return nil
}

// choose finds a waiting pod for a start. done lets others choose it again.
func (c *Cluster) choose(spec *spawn.Spec, needs []spawn.Need) (done func()) {
	done = func() {}
	if spec.Cold || spec.Profile.Pool.IsZero() {
		return done
	}
	t, ok := spec.Template(c.Site)
	if !ok {
		return done
	}
	if spec.Profile.Override.Persistent() && c.lateHome(*spec) == nil {
		c.pools.claims.WithLabelValues(spec.Profile.Slug, claimHome).Inc()
		return done
	}
	if spec.From, done = c.pick(t.Key); spec.From == "" {
		c.pools.claims.WithLabelValues(spec.Profile.Slug, claimEmpty).Inc()
	}
	needs[0].Ask.Pod = spec.From
	return done
}

// pick returns a waiting pod of a key that no other start here is about to take, "" where there is none.
func (c *Cluster) pick(key string) (name string, done func()) {
	c.pools.mu.Lock()
	defer c.pools.mu.Unlock()
	var pods []pool.Pod
	uids := map[string]types.UID{}
	for _, pod := range c.indexed(byPool, key) {
		pods, uids[pod.Name] = append(pods, c.poolPod(pod)), pod.UID
	}
	name = pool.Pick(pods, key, c.replica, func(name string) bool { return c.pools.taken[uids[name]] })
	if name == "" {
		return "", func() {}
	}
	uid := uids[name]
	c.pools.taken[uid] = true
	return name, func() { time.AfterFunc(cacheWait, func() { c.pools.giveBack(uid) }) } // the cache may be behind
}

func (p *pools) giveBack(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, uid)
}

// join goes on with the start that the record holds already.
func (c *Cluster) join(ctx context.Context, owner access.User, spec spawn.Spec, ticket string, h quota.Hold) (*corev1.Pod, string, error) {
	if h.Pod == "" { // cold: the pod's name is fixed, and the second create fails
		spec.From = ""
		needs := c.needs(owner, &spec)
		if err := c.take(ctx, spec.ID, needs, ticket); err != nil {
			return nil, "", err
		}
		return c.writeTaken(ctx, spec, needs)
	}
	pod, err := c.writes.CoreV1().Pods(c.Site.Namespace).Get(ctx, h.Pod, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, "", problem("read the waiting pod", err)
	}
	if err == nil && spawn.OwnsPod(pod, spec.ID) && pod.DeletionTimestamp == nil {
		return pod, "", nil
	}
	spec.Nonce, spec.From = h.Nonce, h.Pod
	needs := c.needsAs(owner, &spec)
	return c.writeTaken(ctx, spec, needs)
}

// makePod makes the pod of a start: of one that waits, or a new one.
func (c *Cluster) makePod(ctx context.Context, spec spawn.Spec) (*corev1.Pod, error) {
	if spec.From != "" && spec.Profile.Override.Persistent() {
		if err := c.holdHome(ctx, &spec); err != nil {
			return nil, err
		}
	}
	for tries := 0; spec.From != ""; tries++ {
		pod, err := c.claim(ctx, spec)
		if err == nil {
			return c.tell(ctx, spec, pod)
		}
		if !errors.Is(err, errLost) {
			return nil, err
		}
		c.pools.claims.WithLabelValues(spec.Profile.Slug, claimLost).Inc()
		next, done := "", func() {}
		if t, ok := spec.Template(c.Site); ok && tries < claimTries-1 {
			next, done = c.pick(t.Key)
		}
		defer done()
		if err := c.rechoose(ctx, &spec, next); err != nil {
			return nil, err
		}
	}
	return c.createPod(ctx, spec)
}

// lateHome returns the claim of a home that a waiting pod can get, nil where the server needs a pod of its own. A new home
// is one: Kubernetes gives a volume to its users when it is first mounted in the usual way.
func (c *Cluster) lateHome(spec spawn.Spec) *corev1.PersistentVolumeClaim {
	claim := c.knownHome(c.Site.Placement(spec.ID.User, spec.Profile).Namespace, spec.Profile.Override.HomeOf(spec.ID))
	if claim == nil || !spawn.CanComeLate(claim) {
		return nil
	}
	return claim
}

// holdHome keeps the home from being deleted before a waiting pod gets it. Where that fails the server gets a pod of its own.
func (c *Cluster) holdHome(ctx context.Context, spec *spawn.Spec) error {
	claim := c.lateHome(*spec)
	if claim != nil {
		err := c.hold(ctx, claim)
		if err == nil {
			spec.LateHome = claim.UID
			return nil
		}
		c.log.WarnContext(ctx, "a home cannot come late; its server starts cold", "user", spec.ID.User, "server", spec.ID.Name, "claim", claim.Name, "error", err)
	}
	c.pools.claims.WithLabelValues(spec.Profile.Slug, claimHome).Inc()
	return c.rechoose(ctx, spec, "")
}

// rechoose writes down that the start is made of another waiting pod, or of none.
func (c *Cluster) rechoose(ctx context.Context, spec *spawn.Spec, next string) error {
	chosen := false
	err := c.changeLive(ctx, spawn.Subject{Name: spec.ID.User}, func(r quota.Record) (quota.Record, bool, error) {
		r, chosen = r.Choose(spec.ID.Name, spec.Nonce, spec.From, next)
		return r, chosen, nil
	})
	if err == nil && !chosen {
		err = errOvertaken
	}
	spec.From = next
	return err
}

// claim makes a waiting pod the server, against all who want it at the same time. errLost says that it is
// another one's, or gone.
func (c *Cluster) claim(ctx context.Context, spec spawn.Spec) (*corev1.Pod, error) {
	pods := c.writes.CoreV1().Pods(c.Site.Namespace)
	o, ok, err := c.pods.GetIndexer().GetByKey(c.Site.Namespace + "/" + spec.From)
	pod, _ := o.(*corev1.Pod)
	for live := err != nil || !ok; ; live = true {
		if live {
			if pod, err = pods.Get(ctx, spec.From, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				return nil, errLost
			} else if err != nil {
				return nil, problem("read the waiting pod", err)
			}
		}
		if spawn.OwnsPod(pod, spec.ID) && pod.Annotations[contract.AnnotationNonce] == spec.Nonce {
			return pod, nil // another replica went on with this start
		}
		if c.poolPod(pod).State != pool.Idle {
			if live {
				return nil, errLost
			}
			continue // the cache may be behind, and the other replica that starts this server may have taken it
		}
		patch, err := json.Marshal(spawn.Claimed(pod, c.Site, spec, c.now()))
		if err != nil {
			return nil, problem("encode the claim of a pod", err)
		}
		got, err := pods.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err == nil {
			c.incomplete(got) // this replica writes down that it answers
			c.pools.took()
			return got, nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) {
			c.log.WarnContext(ctx, "a waiting pod may not be claimed", "user", spec.ID.User, "server", spec.ID.Name, "pod", pod.Name, "error", err)
			return nil, errLost // it is nobody's for sure
		}
		if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
			return nil, problem("claim a waiting pod", err)
		}
		if live {
			return nil, errLost
		}
	}
}

// tell gives a claimed pod its order. Where it takes none it is deleted, and the server gets a pod of its own.
func (c *Cluster) tell(ctx context.Context, spec spawn.Spec, pod *corev1.Pod) (*corev1.Pod, error) {
	err := c.order(ctx, pod)
	if err == nil {
		c.pools.claims.WithLabelValues(spec.Profile.Slug, claimWarm).Inc()
		return pod, nil
	}
	c.pools.claims.WithLabelValues(spec.Profile.Slug, claimFailed).Inc()
	c.log.WarnContext(ctx, "a waiting pod takes no order; its server starts cold", "user", spec.ID.User, "server", spec.ID.Name, "pod", pod.Name, "uid", pod.UID, "error", err)
	if err := c.rechoose(ctx, &spec, ""); err != nil {
		return nil, err
	}
	if err := c.discard(ctx, pod); err != nil {
		return nil, err
	}
	return c.createPod(ctx, spec)
}

// overtaken waits for the pod that another replica makes of a start.
func (c *Cluster) overtaken(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	for {
		pod, err := c.read(ctx, c.writes, id)
		if err != nil {
			return nil, err
		}
		if pod != nil && pod.DeletionTimestamp == nil {
			return pod, nil
		}
		select {
		case <-time.After(goneEvery):
		case <-ctx.Done():
			return nil, &spawn.Problem{Message: spawn.MsgUnavailable, Err: fmt.Errorf("the start of %s: %w, and makes no pod", id, errOvertaken)}
		}
	}
}

// order sends a claimed pod its order. Nil says that it has one: this one, or the same from another replica.
func (c *Cluster) order(ctx context.Context, pod *corev1.Pod) error {
	target, ok := spawn.TargetOf(pod)
	if !ok {
		return errLost
	}
	o, err := c.Keys.OrderOf(pod)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orderWait)
	defer cancel()
	transport := c.answers.transport(target.ProofName)
	transport.DisableKeepAlives = true
	client, key := podClient(transport, orderWait), c.Keys.OrderKey(pod)
	err = order.Send(ctx, client, target.URL(""), key, o)
	if errors.Is(err, order.ErrGone) { // it may have got it all the same
		if again := order.Ready(ctx, client, target.URL(""), key); again != nil {
			err = again
		}
	}
	if errors.Is(err, order.ErrTaken) || errors.Is(err, order.ErrRefused) {
		return nil // it has its order, and answers soon; if it is dead its program ends
	}
	return err
}

// discard deletes a claimed pod that was no server yet, and waits until it is gone. The caller holds the
// user's turn.
func (c *Cluster) discard(ctx context.Context, pod *corev1.Pod) error {
	pods := c.writes.CoreV1().Pods(pod.Namespace)
	err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.UID}, GracePeriodSeconds: new(int64(discardGrace))})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return problem("delete a pod that took no order", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopWait)
	defer cancel()
	for {
		there, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && there.UID != pod.UID {
			return nil
		}
		if err != nil {
			return problem("wait for the end of a pod that took no order", err)
		}
		select {
		case <-time.After(goneEvery):
		case <-ctx.Done():
			return problem("wait for the end of a pod that took no order", ctx.Err())
		}
	}
}

// goneEvery is how often a pod is asked for that is being deleted.
const goneEvery = 100 * time.Millisecond

// readClaimed reads the pod of a pool that is a server from the API, nil where none is. Its name is known from the cache or from
// the owner's record.
func (c *Cluster) readClaimed(ctx context.Context, id server.ID, get func(name string) (*corev1.Pod, error)) (*corev1.Pod, error) {
	asked := map[string]bool{"": true}
	ask := func(name string) (*corev1.Pod, error) {
		if asked[name] {
			return nil, nil
		}
		asked[name] = true
		pod, err := get(name)
		if err != nil || pod == nil || !spawn.OwnsPod(pod, id) {
			return nil, err
		}
		return pod, nil
	}
	if cached := c.cached(id); cached != nil && spawn.IsPooled(cached) {
		if pod, err := ask(cached.Name); pod != nil || err != nil {
			return pod, err
		}
	}
	own := spawn.Subject{Name: id.User}
	if pod, err := ask(c.record(own).Holds[id.Name].Pod); pod != nil || err != nil || !c.Policy().HasPools() {
		return pod, err
	}
	m, err := c.liveRecord(ctx, own)
	if err != nil {
		return nil, problem("read the record of "+id.User, err)
	}
	r, err := parse(m, own)
	if err != nil {
		return nil, nil //nolint:nilerr // it is begun anew, by whoever changes it
	}
	return ask(r.Holds[id.Name].Pod)
}

// attend lets this replica look after a pod that it claimed, until the server answers.
func (c *Cluster) attend(ctx context.Context, owner access.User, pod *corev1.Pod) {
	c.pools.mu.Lock()
	c.pools.attended[pod.UID] = owner
	c.pools.mu.Unlock()
	if seen := c.podOf(corev1.ObjectReference{Namespace: pod.Namespace, Name: pod.Name}); len(seen) > 0 {
		c.lookAfter(context.WithoutCancel(ctx), seen[0]) // it may have ended meanwhile
	}
}

// lookAfter starts a server cold whose claimed pod ended before it answered. The restart is written down first, so it
// takes place even if this replica is killed. It must not block: informers call it.
func (c *Cluster) lookAfter(ctx context.Context, pod *corev1.Pod) {
	id, died := spawn.DiedClaimed(pod)
	c.pools.mu.Lock()
	owner, ours := c.pools.attended[pod.UID]
	if ours && (died || spawn.IsAnswering(pod)) {
		delete(c.pools.attended, pod.UID)
	}
	c.pools.mu.Unlock()
	if !ours || !died {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, queuedWait)
		defer cancel()
		profile := spawn.ProfileOf(pod)
		c.pools.claims.WithLabelValues(profile, claimFailed).Inc()
		c.log.WarnContext(ctx, "a claimed pod ended before it answered; its server starts cold", "user", id.User, "server", id.Name, "pod", pod.Name, "uid", pod.UID,
			"why", spawn.PoolFailure(pod, c.eventsOf(pod), c.now(), c.StartTimeout))
		if err := c.Restart(ctx, spawn.Request{ID: id, Owner: owner, Cold: true}, string(pod.UID)); err != nil {
			c.log.WarnContext(ctx, "a server whose claimed pod ended is not started", "user", id.User, "server", id.Name, "error", err)
		}
	}()
}

// followClaimed asks a claimed pod whether it answers, and gives it its order where it waits for one: its claimer was
// killed, or its container has begun anew.
func (c *Cluster) followClaimed(ctx context.Context, id server.ID, pod *corev1.Pod, target spawn.Target) {
	q, key := spawn.QuestionOf(id, pod), c.Keys.OrderKey(pod)
	c.answers.follow(ctx, pod, target, spawn.Run(pod), func(ctx context.Context, client *http.Client) bool {
		if c.answers.ask(ctx, client, target.URL(q.Path), q.Any) {
			return c.answered(ctx, pod)
		}
		if order.Ready(ctx, client, target.URL(""), key) == nil {
			if err := c.order(ctx, pod); err != nil && ctx.Err() == nil {
				c.log.WarnContext(ctx, "a claimed pod takes no order; trying again", "pod", pod.Name, "uid", pod.UID, "error", err)
			}
		}
		return false
	})
}
