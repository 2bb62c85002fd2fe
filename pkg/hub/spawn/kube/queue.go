package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/trail"
)

const (
	// patience is how long a replica leaves a start to the replica that was asked for it. Both
	// see a place become free at one moment, and one of them would write for nothing.
	patience = 250 * time.Millisecond
	// lookEvery is how often the queue is looked at when nothing changes: a start that takes too
	// long gives its place back without a change.
	lookEvery = time.Second
	// retryPause is how long a start that could not even be claimed keeps its place: without it a
	// cluster that is away would be asked all the time.
	retryPause = 5 * time.Second
	// begun is how long a claim takes a place before the pod does. A claim whose start fails does
	// not keep others waiting until it ends.
	begun = 5 * time.Second
	// queuedWait bounds one start that has waited. It is shorter than spawn.Lease, and longer than
	// stopWait.
	queuedWait = 25 * time.Second
)

// errLeft is a start that another replica makes, or that its user has taken back.
var errLeft = errors.New("the start does not wait any more")

// errWaits is a start that waits already.
var errWaits = errors.New("the start waits already")

// queue is what the records say about starts that wait, on all replicas. It keeps nothing that
// the records do not have.
type queue struct {
	// poke has a value when something has changed.
	poke chan struct{}

	mu     sync.Mutex
	byUser map[string][]spawn.Queued
	before map[server.ID]int
	// moved are those whose place has changed since told.
	moved map[server.ID]bool
	told  time.Time
	// due is since when a place is free for a start, by its ticket.
	due map[string]time.Time
	// made are the starts that have their pods and are in the records still.
	made []madeStart
}

func newQueue() *queue {
	return &queue{poke: make(chan struct{}, 1), byUser: map[string][]spawn.Queued{}, before: map[server.ID]int{}, moved: map[server.ID]bool{}, due: map[string]time.Time{}}
}

func (q *queue) wake() {
	select {
	case q.poke <- struct{}{}:
	default: // it will be looked at anyway
	}
}

// set notes which of a user's starts wait, and returns those that did or do.
func (q *queue) set(user string, now []spawn.Queued) (affected []server.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range append(q.byUser[user], now...) {
		affected = append(affected, w.ID)
	}
	if len(now) == 0 {
		delete(q.byUser, user)
	} else {
		q.byUser[user] = now
	}
	return affected
}

func (q *queue) all() (all []spawn.Queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, some := range q.byUser {
		all = append(all, some...)
	}
	return all
}

// length counts the starts that wait.
func (q *queue) length() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, some := range q.byUser {
		n += len(some)
	}
	return n
}

// place is how many starts come before a server's. One that came a moment ago is the last.
func (q *queue) place(id server.ID) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if before, ok := q.before[id]; ok {
		return before
	}
	return len(q.before)
}

// renumber notes the order, and returns those to be told that their place has changed: all at
// once, and once in lookEvery. Each start moves all behind it, and a thousand of them may watch.
func (q *queue) renumber(order []spawn.Queued, now time.Time) (moved []server.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := map[server.ID]int{}
	for i, w := range order {
		before[w.ID] = i
		if was, ok := q.before[w.ID]; !ok || was != i {
			q.moved[w.ID] = true
		}
	}
	q.before = before
	if now.Sub(q.told) < lookEvery {
		return nil
	}
	moved = slices.Collect(maps.Keys(q.moved))
	q.moved, q.told = map[server.ID]bool{}, now
	return moved
}

// ready returns those of the first starts that this replica begins: its own, and those that
// another one has left for too long.
func (q *queue) ready(first []spawn.Queued, by string, now time.Time) (ready []spawn.Queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	due := map[string]time.Time{}
	for _, w := range first {
		since, ok := q.due[w.Ticket]
		if !ok {
			since = now
		}
		due[w.Ticket] = since
		if w.By == by || now.Sub(since) >= patience {
			ready = append(ready, w)
		}
	}
	q.due = due
	return ready
}

// recordHandler follows the records of users.
func (c *Cluster) recordHandler() cache.ResourceEventHandler {
	seen := func(o any) {
		if late, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = late.Obj
		}
		m, ok := o.(*corev1.ConfigMap)
		if !ok {
			return
		}
		s, ok := spawn.RecordSubject(m.Name, []byte(m.Data[recordKey]))
		if !ok || s.Shared {
			return
		}
		affected := c.queue.set(s.Name, slices.DeleteFunc(spawn.QueueOf(s.Name, c.record(s)), c.isMade))
		for _, id := range affected {
			c.changes.Notify(id)
		}
		if len(affected) > 0 {
			c.queue.wake()
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) }, DeleteFunc: seen}
}

// enqueue lets a start wait. The caller holds the user's turn.
func (c *Cluster) enqueue(ctx context.Context, r spawn.Request, spec spawn.Spec) error {
	if c.queue.length() >= c.maxWaiting {
		return &spawn.Problem{Message: spawn.MsgBusy, Err: spawn.ErrQueueFull}
	}
	needs := c.needs(r.Owner, &spec)
	ticket, name := rand.Text(), spec.ID.Name
	err := c.change(ctx, needs[0].Subject, func(record quota.Record) (quota.Record, bool, error) {
		record, _ = c.prune(needs[0].Subject, record)
		if record.Waits(name) { // a cache that is behind would lose the start: change asks the API
			return record, false, errWaits
		}
		record, err := spawn.Queue(record, r.Owner, spec, needs[0], ticket, c.replica, c.now())
		what := trail.Started
		if spec.After != "" {
			what = trail.Restarted
		}
		return c.note(ctx, record, what, name), true, err
	})
	if errors.Is(err, errWaits) {
		return nil
	}
	if err != nil {
		return err
	}
	c.log.InfoContext(ctx, "server start waits for a place", "user", spec.ID.User, "server", spec.ID.Name)
	c.awaitCache(ctx, spec.ID, func(pod *corev1.Pod) bool { return pod != nil || c.waits(spec.ID) })
	return nil
}

// waits reports whether a server's start waits, as the cache knows it.
func (c *Cluster) waits(id server.ID) bool {
	r := c.record(spawn.Subject{Name: id.User})
	return r.Waits(id.Name) && !c.isMade(spawn.Queued{ID: id, Wait: r.Waiting[id.Name]})
}

// leave takes a start out of the queue, whichever it is.
func (c *Cluster) leave(ctx context.Context, id server.ID) error {
	done, err := c.turns.take(ctx, id.User)
	if err != nil {
		return problem("wait for the user's other requests", err)
	}
	defer done()
	left := false
	err = c.changeLive(ctx, spawn.Subject{Name: id.User}, func(r quota.Record) (quota.Record, bool, error) {
		if r, left = r.TakeBack(id.Name, c.now()); left {
			r = c.note(ctx, r, trail.Stopped, id.Name)
		}
		return r, left, nil
	})
	if err == nil && left {
		c.log.InfoContext(ctx, "server start taken back", "user", id.User, "server", id.Name)
		c.awaitCache(ctx, id, func(*corev1.Pod) bool {
			_, there := c.record(spawn.Subject{Name: id.User}).Waiting[id.Name]
			return !there
		})
	}
	return err
}

// serveQueue begins starts that wait, whenever there is a place. Every replica does this.
func (c *Cluster) serveQueue(ctx context.Context) {
	var began sync.WaitGroup
	defer began.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	soon := time.NewTimer(patience)
	defer soon.Stop()
	for {
		if c.serveOnce(ctx, &began) {
			soon.Reset(patience)
		}
		select {
		case <-c.queue.poke:
		case <-tick.C:
		case <-soon.C:
		case <-ctx.Done():
			c.tidy(true, &began)
			return
		}
	}
}

// serveOnce begins what can begin; more says that another replica has a start that it may leave.
func (c *Cluster) serveOnce(ctx context.Context, began *sync.WaitGroup) (more bool) {
	order, claimed := spawn.InOrder(c.queue.all(), c.now())
	for _, id := range c.queue.renumber(order, time.Now()) {
		c.changes.Notify(id)
	}
	c.tidy(len(order)+len(claimed) == 0, began)
	first, free := c.places(order, claimed)
	first = first[:min(len(first), free)]
	ready := c.queue.ready(first, c.replica, time.Now())
	for _, w := range ready {
		c.mu.Lock()
		c.inflight[w.ID] = c.now()
		c.mu.Unlock()
		began.Go(func() {
			defer c.queue.wake()
			defer c.release(w.ID)
			c.startQueued(ctx, w)
		})
	}
	return len(ready) < len(first)
}

// places returns the starts that nobody is at, and how many may begin. The places taken are
// those of admit, and those of starts that another replica is at.
func (c *Cluster) places(order, claimed []spawn.Queued) (waiting []spawn.Queued, free int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.taken()
	for _, w := range claimed {
		if c.cached(w.ID) == nil && c.now().Sub(w.Claimed) < begun {
			taken[w.ID] = true
		}
	}
	for _, w := range order {
		if _, here := c.inflight[w.ID]; !here {
			waiting = append(waiting, w)
		}
	}
	return waiting, max(0, c.SpawnLimit-len(taken))
}

// startQueued makes a server whose turn has come, or tells its user why not.
func (c *Cluster) startQueued(ctx context.Context, w spawn.Queued) {
	// A replica that is told to stop brings it to an end.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), queuedWait)
	defer cancel()
	err := c.makeQueued(bounded, w)
	if err == nil || errors.Is(err, errLeft) {
		return
	}
	c.log.WarnContext(ctx, "server that waited not started", "user", w.ID.User, "server", w.ID.Name, "error", err)
	why := &spawn.Problem{Message: spawn.MsgUnavailable}
	if errors.As(err, &why); why.Message == spawn.MsgUnavailable && !w.Exhausted() {
		select { // tried again, by all, when spawn.Lease is over
		case <-time.After(c.retryPause):
		case <-ctx.Done():
		}
		return
	}
	c.metrics.refused(c.now().Sub(w.Asked))
	c.mend(bounded, spawn.Subject{Name: w.ID.User}, func(r quota.Record) (quota.Record, bool, error) {
		r, changed := r.Refuse(w.ID.Name, w.Ticket, spawn.ToldOf(why, c.now()))
		return r, changed, nil
	})
}

// makeQueued makes a server with the rights that its user has by now.
func (c *Cluster) makeQueued(ctx context.Context, w spawn.Queued) error {
	if err := c.clearWay(ctx, w); err != nil {
		return err
	}
	pod, nonce, err := c.writeQueued(ctx, w)
	if err != nil {
		return err
	}
	if err := c.finish(ctx, w.ID, pod); err != nil {
		return err
	}
	if nonce == "" || pod.Annotations[contract.AnnotationNonce] != nonce { // another one's pod
		return c.dequeue(ctx, w, pod, "")
	}
	w.Nonce = nonce
	c.queue.later(madeStart{w, pod})
	return nil
}

// writeQueued makes the pod in its user's turn. nonce is the one that it wanted, "" when there was
// a pod already.
func (c *Cluster) writeQueued(ctx context.Context, w spawn.Queued) (pod *corev1.Pod, nonce string, err error) {
	done, err := c.turns.take(ctx, w.ID.User)
	if err != nil {
		return nil, "", problem("wait for the user's other requests", err)
	}
	defer done()
	if pod, err = c.joined(ctx, w.ID); pod != nil || err != nil {
		return pod, "", err
	}
	r := w.Request()
	spec := spawn.Spec{ID: r.ID, Options: r.Options, DisplayName: r.DisplayName, Cold: r.Cold}
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return nil, "", err
	}
	if pod, nonce, err = c.writeAdmitted(ctx, r.Owner, spec, w.Ticket); err != nil {
		return nil, "", err
	}
	c.metrics.waited.Observe(c.now().Sub(w.Asked).Seconds())
	c.metrics.began(string(pod.UID), w.Asked)
	c.log.InfoContext(ctx, "server that waited is starting", "user", w.ID.User, "server", w.ID.Name, "pod", pod.Name, "uid", pod.UID)
	return pod, nonce, nil
}

// pruneQueue drops what waits for nothing: starts that have had their pod for so long, and refusals
// that are old.
func (c *Cluster) pruneQueue(user string, r quota.Record, after time.Duration) (quota.Record, bool) {
	const told = time.Hour
	changed := false
	for name, w := range r.Waiting {
		q := spawn.Queued{ID: server.ID{User: user, Name: name}, Wait: w}
		age := c.now().Sub(w.Claimed)
		made := c.isMade(q) && (age >= after || c.hasEnded(w.Nonce))
		others := !w.Claimed.IsZero() && age > recently && !c.isMade(q) && c.cached(q.ID) != nil
		old := w.Refused != nil && c.now().Sub(w.Refused.At) > told
		if made || others || old {
			r, _ = r.Leave(name, w.Ticket)
			changed = true
		}
	}
	return r, changed
}

// newReplica is a name that no other replica has.
func newReplica() string { return strings.ToLower(rand.Text()) }
