package kube

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/pkg/server/access"
)

const (
	// poolEvery is how often pools are looked at when nothing changes: their sizes depend on the hour.
	poolEvery = 10 * time.Second
	// poolPatience is how long a replica leaves the refill to the one that took a pod: both see it go at one
	// moment, and the second would ask for a name that is taken.
	poolPatience = 250 * time.Millisecond
	// busyFor is how long at most a pool leaves the nodes to the servers that were taken from it.
	busyFor = 3 * time.Second
	// poolWrite bounds one write for a pool.
	poolWrite = 10 * time.Second
	// ReasonPool is that of the Event that says why pods of a profile do not wait.
	ReasonPool = "PoolFailed"
)

// pools is what a replica remembers of pools between two looks at them. Everything else is in the cluster.
type pools struct {
	poke    chan struct{}
	claims  *prometheus.CounterVec
	failing *prometheus.CounterVec

	mu sync.Mutex
	// own says that a pod was taken here, so that this replica refills at once.
	own bool
	// taken are the pods that starts here are about to take, by UID.
	taken map[types.UID]bool
	// attended are the owners of the pods that were claimed here and did not answer yet: they are known only now.
	attended map[types.UID]access.User
	// told are the failed pods that administrators know of.
	told map[types.UID]bool
	// unoffered are the profiles whose pools cannot be, of which administrators know.
	unoffered map[string]bool
	// refused are the keys of which the API refused pods.
	refused map[string]refused
}

// refused is how often in a row the API refused a pod, and when it is asked again.
type refused struct {
	times int
	until time.Time
}

func newPools(reg prometheus.Registerer, count func() map[poolCount]int) *pools {
	p := &pools{
		poke: make(chan struct{}, 1), taken: map[types.UID]bool{}, told: map[types.UID]bool{}, attended: map[types.UID]access.User{}, refused: map[string]refused{}, unoffered: map[string]bool{},
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_pool_claims_total", Help: "Starts of profiles with a pool, by what came of it: warm, empty, lost (the chosen pod went), failed (it took no order), home (the home cannot come late).",
		}, []string{"profile", "outcome"}),
		failing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perijove_pool_failures_total", Help: "Pods that were made for a pool and did not come to wait.",
		}, []string{"profile"}),
	}
	reg.MustRegister(p.claims, p.failing, newPoolCollector(count))
	return p
}

func (p *pools) wake() {
	select {
	case p.poke <- struct{}{}:
	default: // they will be looked at anyway
	}
}

// took lets this replica refill at once.
func (p *pools) took() {
	p.mu.Lock()
	p.own = true
	p.mu.Unlock()
	p.wake()
}

// byPoolKey indexes pods by the pool that they were made for.
func byPoolKey(o any) ([]string, error) {
	if pod := o.(*corev1.Pod); spawn.IsPooled(pod) {
		return []string{spawn.PoolKey(pod)}, nil
	}
	return nil, nil
}

// pooled returns all pods that were made for pools.
func (c *Cluster) pooled() (all []*corev1.Pod) {
	for _, key := range c.pods.GetIndexer().ListIndexFuncValues(byPool) {
		all = append(all, c.indexed(byPool, key)...)
	}
	return all
}

func (c *Cluster) poolPod(pod *corev1.Pod) pool.Pod {
	return spawn.PoolPod(pod, c.eventsOf(pod), c.now(), c.StartTimeout)
}

// servePools keeps pools as full as they should be. Every replica does this; of two that make one pod the
// API refuses the second.
func (c *Cluster) servePools(ctx context.Context) {
	tick := time.NewTicker(poolEvery)
	defer tick.Stop()
	for {
		c.servePoolsOnce(ctx)
		select {
		case <-c.pools.poke:
			if c.pools.isOwn() {
				continue
			}
			select {
			case <-time.After(poolPatience):
			case <-ctx.Done():
				return
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *pools) isOwn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.own
	p.own = false
	return own
}

func (c *Cluster) servePoolsOnce(ctx context.Context) {
	c.tellUnoffered(ctx)
	wanted, pods := c.Policy().Pools(c.Site), c.pooled()
	if len(wanted) == 0 && len(pods) == 0 {
		return
	}
	byKey, byName := map[string]spawn.Pool{}, map[string]*corev1.Pod{}
	var have []pool.Pod
	busy := map[string]bool{}
	for _, pod := range pods {
		p := c.poolPod(pod)
		have, byName[pod.Name] = append(have, p), pod
		if p.State == pool.Used && c.phase(pod) == spawn.Pending && c.now().Sub(spawn.Began(pod)) < busyFor {
			busy[p.Key] = true
		}
		if p.State == pool.Failed {
			c.tellFailure(ctx, pod)
		}
	}
	var wants []pool.Want
	for _, p := range wanted {
		byKey[p.Key] = p
		wants = append(wants, pool.Want{Key: p.Key, Prefix: p.Prefix, Size: p.Profile.Pool.SizeAt(c.now()), Busy: busy[p.Key] || c.isRefused(p.Key)})
	}
	create, remove := pool.Next(wants, have, c.now())
	for _, n := range create {
		if !c.isRefused(n.Key) { // as the one before it
			c.makeWaiting(ctx, byKey[n.Key], n)
		}
	}
	for _, name := range remove {
		c.removeWaiting(ctx, byName[name])
	}
	c.pools.forget(pods)
}

// forget drops what is remembered of pods that are gone.
func (p *pools) forget(pods []*corev1.Pod) {
	there := map[types.UID]bool{}
	for _, pod := range pods {
		there[pod.UID] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.told, func(uid types.UID, _ bool) bool { return !there[uid] })
	maps.DeleteFunc(p.attended, func(uid types.UID, _ access.User) bool { return !there[uid] })
	maps.DeleteFunc(p.taken, func(uid types.UID, _ bool) bool { return !there[uid] })
}

// makeWaiting makes one pod of a pool and its secret.
func (c *Cluster) makeWaiting(ctx context.Context, p spawn.Pool, n pool.New) {
	ctx, cancel := context.WithTimeout(ctx, poolWrite)
	defer cancel()
	want := p.Pod(n.Name, strings.ToLower(rand.Text()), n.Try)
	pod, err := c.writes.CoreV1().Pods(want.Namespace).Create(ctx, want, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return // another replica's
	}
	if err != nil {
		c.refusedPool(ctx, p, err)
		return
	}
	c.pools.mu.Lock()
	delete(c.pools.refused, p.Key)
	c.pools.mu.Unlock()
	c.log.InfoContext(ctx, "a pod is made for a pool", "profile", p.Profile.Slug, "pod", pod.Name, "uid", pod.UID, "try", n.Try)
	if err := c.ensureSecret(ctx, pod); err != nil {
		c.log.WarnContext(ctx, "the secret of a waiting pod is not created yet", "pod", pod.Name, "error", err)
	}
}

// refusedPool notes that the API refused a pod of a pool, and pauses.
func (c *Cluster) refusedPool(ctx context.Context, p spawn.Pool, err error) {
	c.pools.mu.Lock()
	times := c.pools.refused[p.Key].times
	c.pools.refused[p.Key] = refused{times: times + 1, until: c.now().Add(pool.Pause(times))}
	c.pools.mu.Unlock()
	c.pools.failing.WithLabelValues(p.Profile.Slug).Inc()
	c.log.WarnContext(ctx, "a pod for a pool is refused; its profile starts cold meanwhile", "profile", p.Profile.Slug, "pause", pool.Pause(times).String(), "error", err)
	c.warn("profile " + p.Profile.Slug + ": no pod can wait: " + err.Error())
}

func (c *Cluster) isRefused(key string) bool {
	c.pools.mu.Lock()
	defer c.pools.mu.Unlock()
	return c.now().Before(c.pools.refused[key].until)
}

// removeWaiting deletes a pod that is nobody's. A start that takes it at the same moment changes its version, and
// the pod stays.
func (c *Cluster) removeWaiting(ctx context.Context, pod *corev1.Pod) {
	ctx, cancel := context.WithTimeout(ctx, poolWrite)
	defer cancel()
	err := c.writes.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &pod.UID, ResourceVersion: &pod.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		c.log.WarnContext(ctx, "a waiting pod that nobody needs is not deleted; trying again", "pod", pod.Name, "error", err)
	}
}

// tellFailure tells administrators of a failed pod once.
func (c *Cluster) tellFailure(ctx context.Context, pod *corev1.Pod) {
	c.pools.mu.Lock()
	told := c.pools.told[pod.UID]
	c.pools.told[pod.UID] = true
	c.pools.mu.Unlock()
	if told {
		return
	}
	profile, why := spawn.ProfileOf(pod), spawn.PoolFailure(pod, c.eventsOf(pod), c.now(), c.StartTimeout)
	c.pools.failing.WithLabelValues(profile).Inc()
	c.log.WarnContext(ctx, "a pod of a pool does not come to wait; its profile starts cold meanwhile", "profile", profile, "pod", pod.Name, "uid", pod.UID, "why", why)
	c.warn("profile " + profile + ": pod " + pod.Name + " does not come to wait: " + why)
}

// tellUnoffered tells administrators once of a pool that cannot be.
func (c *Cluster) tellUnoffered(ctx context.Context) {
	for _, slug := range c.Policy().Unoffered(c.Site) {
		c.pools.mu.Lock()
		told := c.pools.unoffered[slug]
		c.pools.unoffered[slug] = true
		c.pools.mu.Unlock()
		if told {
			continue
		}
		const why = "its homes would have to come late, and homes.enabled is off; it starts cold"
		c.log.WarnContext(ctx, "a profile's pool cannot be: "+why, "profile", slug)
		c.warn("profile " + slug + ": no pod can wait: " + why)
	}
}

func (c *Cluster) warn(text string) {
	if c.Warn != nil {
		c.Warn(ReasonPool, text)
	}
}

// followPooled does what a pod of a pool needs next. It must not block: informers call it.
func (c *Cluster) followPooled(ctx context.Context, pod *corev1.Pod) {
	c.pools.wake()
	if spawn.IsClaimed(pod) { // followed as a server
		c.lookAfter(ctx, pod)
		return
	}
	c.repairSecret(ctx, pod)
	target, ok := spawn.ProbeTarget(pod)
	if !ok || c.poolPod(pod).State != pool.Making {
		c.answers.stop(pod.UID)
		return
	}
	key := c.Keys.OrderKey(pod)
	c.answers.follow(ctx, pod, target, "waits "+spawn.Run(pod), func(ctx context.Context, client *http.Client) bool {
		return order.Ready(ctx, client, target.URL(""), key) == nil && c.markWaiting(ctx, pod)
	})
}

// markWaiting writes down that a pod waits. Two replicas that write it write the same.
func (c *Cluster) markWaiting(ctx context.Context, pod *corev1.Pod) bool {
	condition := spawn.WaitingCondition(pod)
	condition.LastTransitionTime = metav1.NewTime(c.now())
	return c.writeCondition(ctx, pod, condition)
}

// writeCondition writes a condition of exactly this pod. It reports whether that is done, or of no use any more.
func (c *Cluster) writeCondition(ctx context.Context, pod *corev1.Pod, condition corev1.PodCondition) bool {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   map[string]any{"conditions": []corev1.PodCondition{condition}},
	})
	if err != nil {
		c.log.ErrorContext(ctx, "condition cannot be encoded", "error", err)
		return false
	}
	// The pod's change ends its probe, and with it ctx, before the answer has been read.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patchTimeout)
	defer cancel()
	_, err = c.writes.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case err == nil, apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return true
	}
	c.log.WarnContext(ctx, "condition not written, trying again", "pod", pod.Name, "error", err)
	return false
}

// poolCount names a number of pods.
type poolCount struct {
	Profile string
	State   pool.State
}

// countPools counts the pods of pools that nobody uses, and those that are used.
func (c *Cluster) countPools() map[poolCount]int {
	counts := map[poolCount]int{}
	for _, p := range c.Policy().Profiles {
		if !p.Pool.IsZero() {
			counts[poolCount{p.Slug, pool.Idle}] = 0
		}
	}
	for _, pod := range c.pooled() {
		counts[poolCount{spawn.ProfileOf(pod), c.poolPod(pod).State}]++
	}
	return counts
}

// poolCollector counts when it is asked.
type poolCollector struct {
	desc  *prometheus.Desc
	count func() map[poolCount]int
}

func newPoolCollector(count func() map[poolCount]int) poolCollector {
	return poolCollector{count: count, desc: prometheus.NewDesc(
		"perijove_pool_pods", "Pods that were made to wait for users, by what they are at.", []string{"profile", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (p poolCollector) Describe(all chan<- *prometheus.Desc) { all <- p.desc }

// Collect implements prometheus.Collector.
func (p poolCollector) Collect(all chan<- prometheus.Metric) {
	for of, n := range p.count() {
		all <- prometheus.MustNewConstMetric(p.desc, prometheus.GaugeValue, float64(n), of.Profile, string(of.State))
	}
}
