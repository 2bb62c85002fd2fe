package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"

	"github.com/perijove/perijove/pkg/hub/cull"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// cullSlots spreads the questions: a server that may be stopped is asked in one second of each
	// minute.
	cullSlots = 60
	// askSlots spreads the questions to servers that are not stopped: they are asked only to know
	// when they were last in use.
	askSlots = 5 * cullSlots
	// cullAtOnce bounds how many servers are asked at one time, and so what servers that do not
	// answer can hold up.
	cullAtOnce = 64
	// ReasonCulled is that of the Event on a pod whose server is stopped.
	ReasonCulled = "Culled"
	// ReasonWouldCull is that of the Event on a pod whose server only a dry run keeps.
	ReasonWouldCull = "WouldCull"
)

// What a question to a server brought.
const (
	outcomeFailed = "failed" // no verdict: the server stays
	outcomeBusy   = "busy"
	outcomeUsed   = "used"
	outcomeIdle   = "idle"
)

// Culler asks a Cluster's servers whether they are in use, and stops those that are not and have a
// limit; of published ones those whose pods say so. Every replica runs one, and a server that two of them stop is stopped once.
type Culler struct {
	cluster *Cluster
	events  record.EventRecorder
	log     *slog.Logger
	culled  *prometheus.CounterVec
	asked   *prometheus.CounterVec

	mu   sync.Mutex
	last map[types.UID]string // by pod: the outcome that the log has
}

// NewCuller returns a Culler. With CullDryRun of the Cluster it says what it would do, and stops nothing.
func NewCuller(c *Cluster, events record.EventRecorder, reg prometheus.Registerer, log *slog.Logger) *Culler {
	k := &Culler{
		cluster: c, events: events, log: log, last: map[types.UID]string{},
		culled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_servers_culled_total", Help: "Servers that the spawner stopped by itself; dry_run: that it would have stopped.",
		}, []string{"reason"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_cull_questions_total", Help: "How often servers were asked whether they are in use, by what came of it.",
		}, []string{"outcome"}),
	}
	reg.MustRegister(k.culled, k.asked)
	return k
}

// Run asks until ctx is done.
func (k *Culler) Run(ctx context.Context) error {
	select {
	case <-k.cluster.Synced():
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(time.Minute / cullSlots)
	defer tick.Stop()
	// Slots are counted, not seconds: a round that takes longer leaves no server out.
	for slot := uint32(0); ; slot = (slot + 1) % askSlots {
		select {
		case <-tick.C:
			k.round(ctx, slot)
			k.cluster.writeReports(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// round asks the servers of one slot.
func (k *Culler) round(ctx context.Context, slot uint32) {
	group := limited(cullAtOnce)
	for _, o := range k.cluster.pods.GetStore().List() {
		pod := o.(*corev1.Pod)
		if !k.isTurn(pod, slot) {
			continue
		}
		id, ours := spawn.Identify(pod)
		if !ours || k.cluster.phase(pod) != spawn.Answering {
			continue
		}
		group.Go(func() error {
			k.judge(ctx, id, pod)
			return nil
		})
	}
	for _, pod := range k.cluster.here() {
		if id, ok := spawn.Offered(pod); ok && k.isTurn(pod, slot) {
			group.Go(func() error {
				k.judge(ctx, id, pod)
				return nil
			})
		}
	}
	_ = group.Wait() // of functions that return nil
	if slot%cullSlots == 0 {
		k.forget()
	}
}

// isTurn reports whether a pod's server is asked in a slot: each minute when it may be stopped or was
// never asked, and else every five.
func (k *Culler) isTurn(pod *corev1.Pod, slot uint32) bool {
	own := slotOf(pod.UID)
	if own%cullSlots != slot%cullSlots {
		return false
	}
	return own == slot || spawn.CullAfter(pod) > 0 || !k.cluster.activities.of(pod.UID).asked
}

func slotOf(uid types.UID) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uid)) // never fails
	return h.Sum32() % askSlots
}

// limited returns a group of at most n at a time.
func limited(n int) *errgroup.Group {
	var group errgroup.Group
	group.SetLimit(n)
	return &group
}

// judge asks one server and stops it when it is idle for too long.
func (k *Culler) judge(ctx context.Context, id server.ID, pod *corev1.Pod) {
	use, err := k.cluster.useOf(ctx, id, pod)
	if ctx.Err() == nil {
		k.cluster.told(pod.UID, use, err)
	}
	if at := k.cluster.activityOf(pod).Reported; !at.IsZero() {
		use = use.Reported(k.cluster.now().Sub(at))
	}
	outcome := outcomeUsed
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		outcome = outcomeFailed
	case use.Busy:
		outcome = outcomeBusy
	case use.Over(spawn.CullAfter(pod)):
		outcome = outcomeIdle
	}
	k.asked.WithLabelValues(outcome).Inc()
	isNew := k.note(pod.UID, outcome)
	log := k.log.With("user", id.User, "server", id.Name, "pod", pod.Name, "uid", pod.UID)
	switch {
	case outcome == outcomeFailed && isNew && spawn.CullAfter(pod) > 0:
		log.WarnContext(ctx, "server does not tell whether it is in use, and stays", "error", err)
	case outcome == outcomeIdle && k.cluster.CullDryRun && isNew:
		k.wouldStop(ctx, log, pod, use)
	case outcome == outcomeIdle && !k.cluster.CullDryRun:
		k.stop(ctx, log, pod, use)
	}
}

// wouldStop reports a server that only a dry run keeps.
func (k *Culler) wouldStop(ctx context.Context, log *slog.Logger, pod *corev1.Pod, use cull.Use) {
	limit := spawn.CullAfter(pod).String()
	k.culled.WithLabelValues("dry_run").Inc()
	k.events.Eventf(pod, corev1.EventTypeNormal, ReasonWouldCull, "would be stopped: it was idle for %s, and %s are allowed; cull.dryRun is on", use.Idle.Truncate(time.Second), limit)
	log.InfoContext(ctx, "server would be stopped: it is not in use", "idle", use.Idle.String(), "limit", limit)
}

// stop ends the server of a pod.
func (k *Culler) stop(ctx context.Context, log *slog.Logger, pod *corev1.Pod, use cull.Use) {
	done, err := k.cluster.endIdle(ctx, pod)
	if err != nil {
		log.WarnContext(ctx, "idle server not stopped, trying again", "error", err)
	}
	if !done {
		return
	}
	limit := spawn.CullAfter(pod).String()
	k.culled.WithLabelValues("idle").Inc()
	k.events.Eventf(pod, corev1.EventTypeNormal, ReasonCulled, "stopped: it was idle for %s, and %s are allowed", use.Idle.Truncate(time.Second), limit)
	log.InfoContext(ctx, "server stopped: it was not in use", "idle", use.Idle.String(), "limit", limit)
}

// note reports whether an outcome is another one than the last of the same pod.
func (k *Culler) note(uid types.UID, outcome string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	isNew := k.last[uid] != outcome
	k.last[uid] = outcome
	return isNew
}

// forget drops what is noted of pods that are gone.
func (k *Culler) forget() {
	// Before the pods are listed: a pod that comes meanwhile is not taken for one that is gone.
	known := k.cluster.activities.known()
	there := map[types.UID]bool{}
	for _, o := range k.cluster.pods.GetStore().List() {
		there[o.(*corev1.Pod).UID] = true
	}
	for _, pod := range k.cluster.here() {
		there[pod.UID] = true
	}
	for _, uid := range known {
		if !there[uid] {
			k.cluster.activities.forget(uid)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid := range k.last {
		if !there[uid] {
			delete(k.last, uid)
		}
	}
}

// endIdle lets Kubernetes end a pod that was idle for too long. It does nothing to a pod that has
// changed since it was read: another replica was first, or a user.
func (c *Cluster) endIdle(ctx context.Context, pod *corev1.Pod) (done bool, err error) {
	patch, err := json.Marshal(spawn.Culled(pod))
	if err != nil {
		return false, fmt.Errorf("encode the end of a pod: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	_, err = c.writes.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("end pod: %w", err)
	}
	return true, nil
}
