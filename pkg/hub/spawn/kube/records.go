package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/trail"
)

const (
	// recordKey is the key of a record in its ConfigMap.
	recordKey = "usage.json"
	// unreadKey keeps a record that could not be read, for an administrator to look at.
	unreadKey = "unread.json"
	// unmade is how long a start may hold room for a pod that is not there: longer than the hub
	// waits for a start.
	unmade = time.Minute
	// tendEvery is how often records are compared with the pods that there are.
	tendEvery = 15 * time.Second
)

// changing is how often and how fast a change is tried again that another replica overtook.
func changing() wait.Backoff {
	return wait.Backoff{Steps: 20, Duration: 5 * time.Millisecond, Factor: 1.25, Jitter: 1} //nolint:mnd // here only
}

// change is what becomes of a record: a new one and true, or the same and false.
type change func(quota.Record) (quota.Record, bool, error)

// cachedRecord returns the object that holds a subject's record, nil when the cache has none.
func (c *Cluster) cachedRecord(s spawn.Subject) *corev1.ConfigMap {
	o, ok, err := c.records.GetIndexer().GetByKey(c.Site.Namespace + "/" + s.RecordName())
	if err != nil || !ok {
		return nil
	}
	return o.(*corev1.ConfigMap)
}

// readRecord is a record with the version of the object that it was read from.
type readRecord struct {
	version string
	subject spawn.Subject
	quota.Record
}

// record returns a subject's record as the cache knows it. Each version is read once: a record
// that many users share is long, and each of their home pages shows it.
func (c *Cluster) record(s spawn.Subject) quota.Record {
	m := c.cachedRecord(s)
	if m == nil {
		return quota.Record{Subject: s.Name}
	}
	if known, ok := c.readRecords.Load(m.Name); ok && m.ResourceVersion != "" && known.(readRecord).version == m.ResourceVersion {
		return known.(readRecord).Record
	}
	r, err := parse(m, s)
	if err != nil {
		c.log.Error("a record cannot be read", "name", m.Name, "error", err)
	}
	c.readRecords.Store(m.Name, readRecord{m.ResourceVersion, s, r})
	return r
}

// parse reads the record in an object, which may be nil. One that cannot be read is begun anew
// by the next change: the pods that there are come back into it.
func parse(m *corev1.ConfigMap, s spawn.Subject) (quota.Record, error) {
	empty := quota.Record{Subject: s.Name}
	if m == nil {
		return empty, nil
	}
	r, err := quota.Parse([]byte(m.Data[recordKey]), s.Name)
	if err != nil {
		return empty, fmt.Errorf("read record %s: %w", m.Name, err)
	}
	return r, nil
}

// change puts what f makes of a subject's record into the cluster, against all who change it at
// the same time: of two, one sees the other's. f may be called several times. What it refuses by
// the cache, which may be behind, it is asked again about what the API says.
func (c *Cluster) change(ctx context.Context, s spawn.Subject, f change) error {
	return c.changeFrom(ctx, s, c.cachedRecord(s), false, f)
}

// changeLive is change for what follows a change of a moment ago, which the cache may not show
// yet: by the cache there would be nothing to do.
func (c *Cluster) changeLive(ctx context.Context, s spawn.Subject, f change) error {
	known, err := c.liveRecord(ctx, s)
	if err != nil {
		return problem("read the record of "+s.Name, err)
	}
	return c.changeFrom(ctx, s, known, true, f)
}

func (c *Cluster) changeFrom(ctx context.Context, s spawn.Subject, known *corev1.ConfigMap, live bool, f change) error {
	err := retry.RetryOnConflict(changing(), func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.try(ctx, known, s, f)
		if err != nil && (!live || apierrors.IsConflict(err)) {
			var readErr error
			if known, readErr = c.liveRecord(ctx, s); readErr != nil {
				return readErr
			}
			live = true
			return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, s.RecordName(), err)
		}
		return err
	})
	if errors.As(err, new(*spawn.Problem)) && !apierrors.IsConflict(err) {
		return err
	}
	return problem("change the record of "+s.Name, err)
}

func (c *Cluster) liveRecord(ctx context.Context, s spawn.Subject) (*corev1.ConfigMap, error) {
	m, err := c.writes.CoreV1().ConfigMaps(c.Site.Namespace).Get(ctx, s.RecordName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return m, err
}

// try writes what f makes of the record in known. A Conflict means that known is out of date.
func (c *Cluster) try(ctx context.Context, known *corev1.ConfigMap, s spawn.Subject, f change) error {
	r, err := parse(known, s)
	unread := ""
	if err != nil {
		c.log.ErrorContext(ctx, "a record is begun anew; the old one is kept beside it", "key", unreadKey, "error", err)
		unread = known.Data[recordKey]
	}
	r, changed, err := f(r)
	if err != nil || !changed {
		return err
	}
	text, err := r.Encode()
	if err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	maps := c.writes.CoreV1().ConfigMaps(c.Site.Namespace)
	if known == nil {
		_, err = maps.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: s.RecordName(), Namespace: c.Site.Namespace, Labels: map[string]string{
				contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelComponent: contract.ComponentUsage,
			}},
			Data: map[string]string{recordKey: string(text)},
		}, metav1.CreateOptions{})
	} else {
		next := known.DeepCopy()
		next.Data[recordKey] = string(text)
		if unread != "" {
			next.Data[unreadKey] = unread
		}
		_, err = maps.Update(ctx, next, metav1.UpdateOptions{})
	}
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		return apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, s.RecordName(), err)
	}
	return err
}

// take puts a start into all its records, or into none. The first is the owner's: one write claims
// a start that waited, known by its ticket, and takes what it needs. A start without a ticket is
// there in place of one that waits or was refused.
func (c *Cluster) take(ctx context.Context, id server.ID, needs []spawn.Need, ticket string) error {
	for i, need := range needs {
		err := c.inTurn(ctx, need.Subject, c.change, func(r quota.Record) (quota.Record, bool, error) {
			r, _ = c.prune(need.Subject, r)
			if i == 0 {
				if err := inWay(r, need.Ask); err != nil {
					return r, false, err
				}
			}
			if i == 0 && ticket == "" {
				r, _ = r.Leave(id.Name, "")
				r = c.note(ctx, r, trail.Started, id.Name)
			} else if i == 0 {
				claimed := false
				if r, claimed = r.Claim(id.Name, ticket, need.Ask.Nonce, spawn.Lease, c.now()); !claimed {
					return r, false, errLeft
				}
			}
			r, err := need.Take(r, c.now())
			return r, true, err
		})
		if err != nil {
			c.giveBack(ctx, id, needs[:i])
			return err
		}
	}
	return nil
}

// inTurn is change for those that hold the user's turn: of a shared record one change at a time
// is tried here, since others would only find out that they were overtaken.
func (c *Cluster) inTurn(ctx context.Context, s spawn.Subject, how func(context.Context, spawn.Subject, change) error, f change) error {
	if !s.Shared {
		return how(ctx, s, f)
	}
	done, err := c.turns.take(ctx, "quota/"+s.Name) // no user's name has a slash
	if err != nil {
		return problem("wait for other starts of the group", err)
	}
	defer done()
	return how(ctx, s, f)
}

// giveBack takes a start that made no pod out of its records again. What it cannot take out,
// tend does later.
func (c *Cluster) giveBack(ctx context.Context, id server.ID, needs []spawn.Need) {
	c.giveBackAs(ctx, id, needs, func(_ spawn.Subject, r quota.Record, key, nonce string) (quota.Record, bool) {
		return r.Release(key, nonce, c.now())
	})
}

// giveBackAs takes a server out of its records by what release makes of each.
func (c *Cluster) giveBackAs(ctx context.Context, id server.ID, needs []spawn.Need, release func(s spawn.Subject, r quota.Record, key, nonce string) (quota.Record, bool)) {
	for _, need := range needs {
		err := c.inTurn(ctx, need.Subject, c.changeLive, func(r quota.Record) (quota.Record, bool, error) {
			r, changed := release(need.Subject, r, need.Ask.Key, need.Ask.Nonce)
			return r, changed, nil
		})
		if err != nil {
			c.log.WarnContext(ctx, "a record still holds a server that has no pod; it is mended later", "user", id.User, "server", id.Name, "error", err)
		}
	}
}

// settle takes a pod that is gone out of its records.
func (c *Cluster) settle(ctx context.Context, id server.ID, pod *corev1.Pod) {
	c.giveBackAs(ctx, id, spawn.Counted(pod, id), func(s spawn.Subject, r quota.Record, key, nonce string) (quota.Record, bool) {
		made := false
		if !s.Shared { // or it would be begun again
			r, made = r.Made(key, nonce)
		}
		r, ended := c.end(s, r, key, nonce)
		return r, made || ended
	})
}

// prune ends the holds of pods that are gone: seen going here, or missing. A pod that was created
// a moment ago may be missing from the cache. What becomes of the queue rides on that.
func (c *Cluster) prune(s spawn.Subject, r quota.Record) (quota.Record, bool) {
	return c.pruneAfter(0, s, r)
}

// pruneAfter is prune that takes starts out of the queue whose pods were made so long ago.
func (c *Cluster) pruneAfter(made time.Duration, s spawn.Subject, r quota.Record) (quota.Record, bool) {
	changed := false
	if !s.Shared {
		r, changed = c.pruneQueue(s.Name, r, made)
	}
	stale := r.Stale(func(key string) bool { return c.hasPod(s, key) }, unmade, c.now())
	for key, hold := range r.Holds {
		if !slices.Contains(stale, key) && !c.hasEnded(hold.Nonce) {
			continue
		}
		released := false
		r, released = c.end(s, r, key, hold.Nonce)
		changed = changed || released
	}
	return r, changed
}

// noteEnd remembers that a pod takes nothing any more, until the records say so: the next start
// need not wait for that.
func (c *Cluster) noteEnd(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if nonce := pod.Annotations[contract.AnnotationNonce]; nonce != "" {
		c.ended[nonce] = c.now()
		c.noteHow(pod)
	}
}

func (c *Cluster) hasEnded(nonce string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.ended[nonce]
	return ok
}

// forgetEnds drops the ends that records know by now.
func (c *Cluster) forgetEnds() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for nonce, at := range c.ended {
		if c.now().Sub(at) > 2*tendEvery {
			delete(c.ended, nonce)
			delete(c.ends, nonce)
		}
	}
}

// hasPod reports whether a server has a pod that takes anything.
func (c *Cluster) hasPod(s spawn.Subject, key string) bool {
	id := server.ID{User: s.Name, Name: key}
	if s.Shared {
		id = spawn.ParseSharedKey(key)
	}
	pod := c.cached(id)
	return pod != nil && len(spawn.Holds(pod, id)) > 0
}

// tend keeps records in step with the pods that there are: pods that end by themselves, that
// an earlier version made, whose spawner was killed. Every replica does this; the second one
// finds nothing to do.
func (c *Cluster) tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		c.tendOnce(ctx)
		c.forgetEnds()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *Cluster) tendOnce(ctx context.Context) {
	for _, o := range c.records.GetStore().List() {
		m := o.(*corev1.ConfigMap)
		s, ok := c.subject(m)
		if !ok {
			continue
		}
		// The replica that made a pod writes down that it is made, unless it was killed.
		if _, stale := c.pruneAfter(spawn.Lease, s, c.record(s)); stale {
			c.mend(ctx, s, func(r quota.Record) (quota.Record, bool, error) {
				r, changed := c.prune(s, r)
				return r, changed, nil
			})
		}
	}
	for _, o := range c.pods.GetStore().List() {
		pod := o.(*corev1.Pod)
		id, ok := spawn.Identify(pod)
		if !ok || c.now().Sub(spawn.Began(pod)) < recently {
			continue
		}
		for _, need := range spawn.Holds(pod, id) {
			if !c.record(need.Subject).Has(need.Ask.Key, need.Ask.Nonce) {
				c.adopt(ctx, id, pod)
				break
			}
		}
	}
}

// adopt puts a pod that is there into its records, whether there is room or not.
func (c *Cluster) adopt(ctx context.Context, id server.ID, pod *corev1.Pod) {
	for _, need := range spawn.Holds(pod, id) {
		c.mend(ctx, need.Subject, func(r quota.Record) (quota.Record, bool, error) {
			r, changed := r.Adopt(need.Ask, spawn.Began(pod), c.now())
			return r, changed, nil
		})
	}
}

func (c *Cluster) mend(ctx context.Context, s spawn.Subject, f change) {
	// What is to be mended is often a moment old, and the cache would show nothing to mend.
	if err := c.inTurn(ctx, s, c.changeLive, f); err != nil && ctx.Err() == nil {
		c.log.WarnContext(ctx, "a record is not in step with the pods; trying again", "record", s.RecordName(), "error", err)
	}
}
