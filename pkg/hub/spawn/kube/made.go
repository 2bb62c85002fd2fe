package kube

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// A start that waited and has its pod stays in its owner's record until something else is to be
// written there, or until no start waits.

// madeStart is a start that waited, and its pod.
type madeStart struct {
	spawn.Queued
	pod *corev1.Pod
}

// drop forgets a start whose pod, known by its nonce, is there: before its record says so.
func (q *queue) drop(id server.ID, nonce string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(q.byUser[id.User]), func(w spawn.Queued) bool { return w.ID == id && w.Nonce == nonce })
	q.byUser[id.User] = left
	if len(left) == 0 {
		delete(q.byUser, id.User)
	}
}

// later keeps a start that is to be taken out of the records when there is time for that.
func (q *queue) later(m madeStart) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.made = append(q.made, m)
}

// takeMade returns the starts that are to be taken out now, and forgets them.
func (q *queue) takeMade(now func(madeStart) bool) (due []madeStart) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var left []madeStart
	for _, m := range q.made {
		if now(m) {
			due = append(due, m)
		} else {
			left = append(left, m)
		}
	}
	q.made = left
	return due
}

// isMade reports whether a start in a record has its pod, or had it. Its record says so only when
// something else is to be written, or when no start waits any more: a write for each start would
// be one of six calls just when there are the most.
func (c *Cluster) isMade(w spawn.Queued) bool {
	if w.Nonce == "" {
		return false
	}
	pod := c.cached(w.ID)
	return pod != nil && pod.Annotations[contract.AnnotationNonce] == w.Nonce || c.hasEnded(w.Nonce)
}

// tidy takes starts out of the records whose pods were made here: all when nobody waits, and at once
// those that their users have taken back meanwhile, whose pods must go. The other replica does it
// later for one that was killed.
func (c *Cluster) tidy(all bool, began *sync.WaitGroup) {
	due := c.queue.takeMade(func(m madeStart) bool {
		w, there := c.record(spawn.Subject{Name: m.ID.User}).Waiting[m.ID.Name]
		return all || !there || w.Ticket != m.Ticket
	})
	if len(due) == 0 {
		return
	}
	began.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), queuedWait)
		defer cancel()
		for _, m := range due {
			if err := c.dequeue(ctx, m.Queued, m.pod, m.Nonce); err != nil {
				c.log.WarnContext(ctx, "a server that nobody wants is not stopped", "user", m.ID.User, "server", m.ID.Name, "error", err)
			}
		}
	})
}

// dequeue takes a start that has its pod out of the queue. When its user has taken it back
// meanwhile the pod, known by its nonce, is one that nobody wants and no record holds; nonce is ""
// for a pod that stays in any case.
func (c *Cluster) dequeue(ctx context.Context, w spawn.Queued, pod *corev1.Pod, nonce string) error {
	wanted := false
	err := c.change(ctx, spawn.Subject{Name: w.ID.User}, func(r quota.Record) (quota.Record, bool, error) {
		r, left := r.Leave(w.ID.Name, w.Ticket)
		wanted = left || r.Has(w.ID.Name, nonce)
		return r, left, nil
	})
	if err != nil {
		c.log.WarnContext(ctx, "a start that is made leaves the queue later", "user", w.ID.User, "server", w.ID.Name, "error", err)
		return nil
	}
	if wanted || nonce == "" || c.hasEnded(nonce) {
		return nil
	}
	c.log.InfoContext(ctx, "server start taken back while its pod was made", "user", w.ID.User, "server", w.ID.Name)
	return c.remove(ctx, w.ID, pod, false)
}
