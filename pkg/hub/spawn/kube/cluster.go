package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/broadcast"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/trail"
)

// Settings is what a Cluster needs to know. Fields must all be set.
type Settings struct {
	Site spawn.Site
	// Policy returns the one that is in force.
	Policy func() spawn.Policy
	Keys   spawn.Keys
	// Trust shows pods the spawner's certificate and trusts those of the CA of servers.
	Trust *tls.Config
	// StartTimeout is how long a server may take until it answers.
	StartTimeout time.Duration
	// SpawnLimit is how many servers may be starting at the same time, over all replicas. A server
	// that takes longer than spawn.PlaceFor is not counted any more.
	SpawnLimit int
	// Traffic returns when users last did something at a server, as Envoy let it through; ok is false
	// where that is not known. Nil where nobody tells.
	Traffic func(id server.ID) (last time.Time, ok bool)
	// CullDryRun says that servers which are not in use are only reported.
	CullDryRun bool
	// Warn tells administrators what is wrong with a profile, by an Event for example. Nil tells nobody.
	Warn func(reason, text string)
	// Namespaces are those whose labelled pods the gateway publishes.
	Namespaces []string
}

// Cluster is one replica's view of the servers. Make it with New and keep Run running.
type Cluster struct {
	Settings
	reads  kubernetes.Interface // for caches and pages
	writes kubernetes.Interface // for starts and stops
	now    func() time.Time
	log    *slog.Logger

	factories []informers.SharedInformerFactory
	pods      cache.SharedIndexInformer
	events    cache.SharedIndexInformer // about pods
	claims    cache.SharedIndexInformer // events about volume claims
	homes     cache.SharedIndexInformer // volume claims of ours
	records   cache.SharedIndexInformer // what users have
	published []cache.SharedIndexInformer
	synced    chan struct{} // closed once the informers have delivered their first lists
	changes   *broadcast.Hub
	answers   *prober
	pools     *pools
	metrics   *metrics
	// activities is what is known of the use of servers.
	activities *activities

	replica    string // this one's name in the records
	queue      *queue
	maxWaiting int           // spawn.MaxWaiting; tests have another
	retryPause time.Duration // retryPause; tests have another

	turns *turns             // each user's calls of the API, one at a time
	asked singleflight.Group // one question to the API for all who ask the same

	readRecords sync.Map // by name: readRecord
	logs        readLogs

	mu       sync.Mutex
	starting map[server.ID]time.Time // when pods were made that are pending, on all replicas
	inflight map[server.ID]time.Time // since when servers are being created here
	recent   map[server.ID]time.Time // when pods were created here that the cache did not show yet
	ended    map[string]time.Time    // when pods were seen to end here, by nonce
	ends     map[string]trail.Event  // how these came to their end, and who stopped them, by nonce
	complete map[types.UID]bool      // pods whose secrets were made or found here
}

// Indexes of the informers.
const (
	byUser   = "user"   // of pods, by the owner's name
	byServer = "server" // of pods, by server.ID.String
	byPool   = "pool"   // of pods, by the key of the pool that they were made for
	byClaim  = "claim"  // of pods, and of events about claims, by the claim's namespace/name
	byPod    = "pod"    // of events about pods, by the pod's UID
)

// resync is how often every pod is looked at again: an action that failed because the
// API was away is repeated then, and a start that takes too long is noticed.
const resync = 30 * time.Second

// New returns a Cluster. reads and writes are clients with a limit of their own each, so that
// no number of pages keeps a start waiting; now is the clock; reg gets the metrics.
func New(reads, writes kubernetes.Interface, now func() time.Time, reg prometheus.Registerer, log *slog.Logger, s Settings) (*Cluster, error) {
	c := &Cluster{
		Settings: s, reads: reads, writes: writes, now: now, log: log,
		synced: make(chan struct{}), changes: broadcast.New(), turns: newTurns(), logs: readLogs{known: map[types.UID]readLog{}}, activities: newActivities(),
		replica: newReplica(), queue: newQueue(), maxWaiting: spawn.MaxWaiting, retryPause: retryPause,
		starting: map[server.ID]time.Time{}, inflight: map[server.ID]time.Time{}, recent: map[server.ID]time.Time{}, complete: map[types.UID]bool{}, ended: map[string]time.Time{}, ends: map[string]trail.Event{},
	}
	c.answers = newProber(s.Trust, c.answered, now, log)
	ours := c.factory(resync, func(o *metav1.ListOptions) {
		o.LabelSelector = labels.SelectorFromSet(labels.Set{contract.LabelManagedBy: contract.ManagedBySpawner}).String()
	})
	c.pods = ours.Core().V1().Pods().Informer()
	c.homes = ours.Core().V1().PersistentVolumeClaims().Informer()
	c.events, c.claims = c.eventsAbout("Pod"), c.eventsAbout("PersistentVolumeClaim")
	c.records = c.factory(0, func(o *metav1.ListOptions) {
		o.LabelSelector = labels.SelectorFromSet(labels.Set{
			contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelComponent: contract.ComponentUsage,
		}).String()
	}).Core().V1().ConfigMaps().Informer()
	if err := c.prepareInformers(); err != nil {
		return nil, err
	}
	if err := c.watchPublished(); err != nil {
		return nil, err
	}
	c.pools = newPools(reg, c.countPools)
	c.metrics = newMetrics(reg, now, c.running, func() float64 { return float64(c.queue.length()) })
	return c, nil
}

// factory returns an informer factory for the namespace of the servers.
func (c *Cluster) factory(resync time.Duration, tweak func(*metav1.ListOptions)) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactoryWithOptions(c.reads, resync,
		informers.WithNamespace(c.Site.Namespace), informers.WithTweakListOptions(tweak))
	c.factories = append(c.factories, f)
	return f
}

// eventsAbout returns an informer of the events about one kind of object.
func (c *Cluster) eventsAbout(kind string) cache.SharedIndexInformer {
	return c.factory(0, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("involvedObject.kind", kind).String()
	}).Core().V1().Events().Informer()
}

func (c *Cluster) prepareInformers() error {
	for _, i := range []cache.SharedIndexInformer{c.pods, c.homes, c.events, c.claims, c.records} {
		if err := i.SetTransform(dropManagedFields); err != nil {
			return fmt.Errorf("prepare informer: %w", err)
		}
	}
	byID := func(key func(server.ID) string) cache.IndexFunc {
		return func(o any) ([]string, error) {
			if id, ok := spawn.Identify(o.(*corev1.Pod)); ok {
				return []string{key(id)}, nil
			}
			return nil, nil
		}
	}
	if err := c.pods.AddIndexers(cache.Indexers{
		byUser:   byID(func(id server.ID) string { return id.User }),
		byServer: byID(server.ID.String),
		byPool:   byPoolKey,
		byClaim:  func(o any) ([]string, error) { return claimsOf(o.(*corev1.Pod)), nil },
	}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	if err := c.events.AddIndexers(cache.Indexers{byPod: func(o any) ([]string, error) {
		return []string{string(o.(*corev1.Event).InvolvedObject.UID)}, nil
	}}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	if err := c.claims.AddIndexers(cache.Indexers{byClaim: func(o any) ([]string, error) {
		about := o.(*corev1.Event).InvolvedObject
		return []string{about.Namespace + "/" + about.Name}, nil
	}}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	return nil
}

// claimsOf returns the claims that a pod uses, as namespace/name.
func claimsOf(pod *corev1.Pod) (claims []string) {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			claims = append(claims, pod.Namespace+"/"+v.PersistentVolumeClaim.ClaimName)
		}
	}
	return claims
}

// dropManagedFields halves what the caches hold; the spawner does not read them.
func dropManagedFields(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// Synced returns a channel that is closed once everything that existed at the start is
// known. Before that Get, List and Start must not be used: every server would seem stopped.
func (c *Cluster) Synced() <-chan struct{} { return c.synced }

// Run watches the cluster until ctx is done.
func (c *Cluster) Run(ctx context.Context) error {
	if _, err := c.pods.AddEventHandler(c.podHandler(ctx)); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	if _, err := c.homes.AddEventHandler(c.homeHandler(ctx)); err != nil {
		return fmt.Errorf("watch homes: %w", err)
	}
	if _, err := c.events.AddEventHandler(c.eventHandler(ctx, c.podOf)); err != nil {
		return fmt.Errorf("watch events of pods: %w", err)
	}
	if _, err := c.claims.AddEventHandler(c.eventHandler(ctx, c.podsOfClaim)); err != nil {
		return fmt.Errorf("watch events of claims: %w", err)
	}
	if _, err := c.records.AddEventHandler(c.recordHandler()); err != nil {
		return fmt.Errorf("watch records: %w", err)
	}
	for _, f := range c.factories {
		f.Start(ctx.Done())
	}
	if cache.WaitForCacheSync(ctx.Done(), c.pods.HasSynced, c.homes.HasSynced, c.events.HasSynced, c.claims.HasSynced, c.records.HasSynced) {
		close(c.synced)
		var served sync.WaitGroup
		served.Go(func() { c.serveQueue(ctx) })
		served.Go(func() { c.servePools(ctx) })
		c.tend(ctx)
		served.Wait()
	}
	<-ctx.Done()
	for _, f := range c.factories {
		f.Shutdown()
	}
	c.answers.wait()
	return nil
}
