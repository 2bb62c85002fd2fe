package kube

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Trail returns what happened to a user's servers, latest last.
func (c *Cluster) Trail(user string) trail.Trail { return c.record(spawn.Subject{Name: user}).Trail }

// note puts an event into a record that is about to be written, of the one who acts in ctx.
func (c *Cluster) note(ctx context.Context, r quota.Record, what trail.What, name string) quota.Record {
	return r.Note(trail.Event{At: c.now(), What: what, By: trail.Who(ctx), Of: name})
}

// noteStop remembers who stops a pod: its end may be written down later than the request lasts.
func (c *Cluster) noteStop(ctx context.Context, pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	nonce := pod.Annotations[contract.AnnotationNonce]
	if _, known := c.ends[nonce]; !known {
		c.ends[nonce] = trail.Event{What: trail.Stopped, By: trail.Who(ctx)}
	}
}

// noteHow remembers how a pod came to its end. It must be called with mu held.
func (c *Cluster) noteHow(pod *corev1.Pod) {
	nonce := pod.Annotations[contract.AnnotationNonce]
	if _, known := c.ends[nonce]; !known {
		c.ends[nonce] = trail.Event{What: spawn.HowEnded(pod)}
	}
}

// end ends the hold of a server in a record, and notes in its owner's how that came.
func (c *Cluster) end(s spawn.Subject, r quota.Record, key, nonce string) (quota.Record, bool) {
	r, released := r.Release(key, nonce, c.now())
	if !released || s.Shared {
		return r, released
	}
	c.mu.Lock()
	e, known := c.ends[nonce]
	c.mu.Unlock()
	if !known { // another replica saw it, or nobody
		e.What = trail.Stopped
		if pod := c.cached(server.ID{User: s.Name, Name: key}); pod != nil && pod.Annotations[contract.AnnotationNonce] == nonce {
			e.What = spawn.HowEnded(pod)
		}
	}
	e.At, e.Of = c.now(), key
	return r.Note(e), true
}
