package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/cull"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// writeEvery is the time between two writes of reports about one server: programs report every
	// few minutes, and each write is a call of the API.
	writeEvery = 5 * time.Minute
	// writeShare keeps that time a small part of the time that a server may be idle.
	writeShare = 4
	// writesAtOnce bounds how many reports are written at one time.
	writesAtOnce = 8
)

// activities is what a replica knows of the use of servers, by pod.
type activities struct {
	mu   sync.Mutex
	pods map[types.UID]activity
}

type activity struct {
	spawn.Activity
	asked   bool      // once at least
	written time.Time // when a report was last written here, or its write was tried
}

func newActivities() *activities { return &activities{pods: map[types.UID]activity{}} }

func (a *activities) of(uid types.UID) activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pods[uid]
}

func (a *activities) change(uid types.UID, f func(*activity)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.pods[uid]
	f(&known)
	a.pods[uid] = known
}

func (a *activities) forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pods, uid)
}

// known returns the pods of which something is known.
func (a *activities) known() []types.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.pods))
}

// reported returns the pods about which there were reports here.
func (a *activities) reported() map[types.UID]activity {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[types.UID]activity{}
	for uid, known := range a.pods {
		if !known.Reported.IsZero() {
			out[uid] = known
		}
	}
	return out
}

// told notes what a server said when it was asked, or that it said nothing.
func (c *Cluster) told(uid types.UID, use cull.Use, err error) {
	now := c.now()
	c.activities.change(uid, func(a *activity) {
		a.asked, a.Tells = true, err == nil
		if err != nil {
			return
		}
		a.Busy, a.Last = use.Busy, now.Add(-use.Idle)
		if use.Busy {
			a.Last = now
		}
	})
}

// activityOf returns what is known of a pod's use, by this replica and from the pod.
func (c *Cluster) activityOf(pod *corev1.Pod) spawn.Activity {
	known := c.activities.of(pod.UID).Activity
	if at := spawn.ReportedUse(pod, c.now()); at.After(known.Reported) {
		known.Reported = at
	}
	return known
}

// Report notes that a server was in use at a moment, at most now. Reports are kept in memory and
// written on the pod now and then, for other replicas and for a restart. A successor of the pod begins
// without.
func (c *Cluster) Report(id server.ID, at time.Time) bool {
	pod := c.cached(id)
	if pod == nil {
		return false
	}
	if now := c.now(); at.After(now) {
		at = now
	}
	c.activities.change(pod.UID, func(a *activity) {
		if at.After(a.Reported) {
			a.Reported = at
		}
	})
	return true
}

// writeReports writes down the reports that are due.
func (c *Cluster) writeReports(ctx context.Context) {
	reports := c.activities.reported()
	if len(reports) == 0 {
		return
	}
	group := limited(writesAtOnce)
	for _, o := range c.pods.GetStore().List() {
		pod := o.(*corev1.Pod)
		known, ok := reports[pod.UID]
		if !ok || !c.isDue(pod, known) {
			continue
		}
		c.activities.change(pod.UID, func(a *activity) { a.written = c.now() })
		group.Go(func() error {
			again, err := c.writeUse(ctx, pod, known.Reported)
			if err != nil && ctx.Err() == nil {
				c.log.WarnContext(ctx, "a report of use is not written down; trying again", "pod", pod.Name, "error", err)
			}
			if again {
				c.activities.change(pod.UID, func(a *activity) { a.written = time.Time{} })
			}
			return nil
		})
	}
	_ = group.Wait() // of functions that return nil
}

// isDue reports whether a report is to be written down now. One that is less than a second newer
// than what the pod has is written already.
func (c *Cluster) isDue(pod *corev1.Pod, known activity) bool {
	pause := writeEvery
	if limit := spawn.CullAfter(pod); limit > 0 {
		pause = min(pause, limit/writeShare)
	}
	return known.Reported.Sub(spawn.ReportedUse(pod, c.now())) >= time.Second && c.now().Sub(known.written) >= pause
}

// writeUse writes on a pod when its server was last reported to be in use. again says that the pod
// has changed meanwhile: the cache will show how.
func (c *Cluster) writeUse(ctx context.Context, pod *corev1.Pod, at time.Time) (again bool, err error) {
	patch, err := json.Marshal(spawn.WriteUse(pod, at))
	if err != nil {
		return false, fmt.Errorf("encode a report of use: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	_, err = c.writes.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsConflict(err):
		return true, nil
	case err == nil, apierrors.IsNotFound(err):
		return false, nil
	}
	return false, fmt.Errorf("write on the pod: %w", err)
}
