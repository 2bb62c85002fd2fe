package memory

import (
	"errors"
	"fmt"
	"slices"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// The queue of starts; mu is held by all who call these.

// free is how many more servers may be starting.
func (c *Cluster) free() int {
	n := c.SpawnLimit
	for _, pod := range c.pods {
		if id, ok := spawn.Identify(pod); ok && c.describe(id, pod).Phase == spawn.Pending && c.now().Sub(pod.CreationTimestamp.Time) < spawn.PlaceFor {
			n--
		}
	}
	return n
}

// queue returns the starts that wait, the next one first.
func (c *Cluster) queue() []spawn.Queued {
	var all []spawn.Queued
	for s, r := range c.records {
		if !s.Shared {
			all = append(all, spawn.QueueOf(s.Name, r)...)
		}
	}
	order, _ := spawn.InOrder(all, c.now())
	return order
}

// place is how many starts come before a server's.
func (c *Cluster) place(id server.ID) int {
	for i, q := range c.queue() {
		if q.ID == id {
			return i
		}
	}
	return 0
}

// enqueue lets a start wait.
func (c *Cluster) enqueue(owner access.User, spec spawn.Spec) error {
	own := spawn.Subject{Name: spec.ID.User}
	if c.record(own).Waits(spec.ID.Name) {
		return nil
	}
	if len(c.queue()) >= spawn.MaxWaiting {
		return &spawn.Problem{Message: spawn.MsgBusy, Err: spawn.ErrQueueFull}
	}
	c.made++
	spec.Nonce = fmt.Sprintf("n%025d", c.made)
	needs := c.Policy().Needs(owner, spec.ID, spawn.Pod(c.Site, spec), spec.Volumes(c.Site))
	r, err := spawn.Queue(c.record(own), owner, spec, needs[0], spec.Nonce, "", c.now())
	if err == nil {
		c.records[own] = r
	}
	return err
}

// serve starts those whose turn has come.
func (c *Cluster) serve() {
	for c.free() > 0 {
		order := c.queue()
		at := slices.IndexFunc(order, c.clearWay)
		if at < 0 {
			return
		}
		next := order[at]
		own := spawn.Subject{Name: next.ID.User}
		c.records[own], _ = c.record(own).Claim(next.ID.Name, next.Ticket, next.Ticket, spawn.Lease, c.now())
		claimed := c.records[own]
		if err := c.begin(next.Request()); err != nil {
			why := &spawn.Problem{Message: spawn.MsgUnavailable}
			errors.As(err, &why)
			c.records[own], _ = claimed.Refuse(next.ID.Name, next.Ticket, spawn.ToldOf(why, c.now()))
		}
		for _, waits := range order {
			c.changes.Notify(waits.ID)
		}
	}
}

// begin starts a server that waited, with the rights that its owner has by now.
func (c *Cluster) begin(r spawn.Request) (err error) {
	spec := spawn.Spec{ID: r.ID, Options: r.Options, DisplayName: r.DisplayName}
	if spec.Profile, err = c.Policy().Resolve(r.Owner, spec.Options); err != nil {
		return err
	}
	return c.create(r.Owner, spec)
}
