package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/broadcast"
	"github.com/perijove/perijove/pkg/server"
)

// Settings is what a Cluster needs to know. Fields must all be set.
type Settings struct {
	Site    spawn.Site
	Catalog spawn.Catalog
	Keys    spawn.Keys
	// Trust shows pods the spawner's certificate and trusts those of the CA of servers.
	Trust *tls.Config
	// StartTimeout is how long a server may take until it answers.
	StartTimeout time.Duration
	// SpawnLimit is how many servers may be starting at the same time, over all replicas.
	SpawnLimit int
}

// Cluster is one replica's view of the servers. Make it with New and keep Run running.
type Cluster struct {
	Settings
	client kubernetes.Interface
	now    func() time.Time
	log    *slog.Logger

	factories []informers.SharedInformerFactory
	pods      cache.SharedIndexInformer
	events    cache.SharedIndexInformer
	synced    chan struct{} // closed once the informers have delivered their first lists
	changes   *broadcast.Hub
	answers   *prober
	metrics   *metrics

	mu       sync.Mutex
	inflight map[server.ID]bool // servers whose pods are being created right now
}

// Indexes of the informers.
const (
	byUser   = "user"   // of pods, by the owner's name
	byServer = "server" // of pods, by server.ID.String
	byPod    = "pod"    // of events, by the pod's UID
)

// resync is how often every pod is looked at again: an action that failed because the
// API was away is repeated then, and a start that takes too long is noticed.
const resync = 30 * time.Second

// New returns a Cluster. now is the clock; reg gets the metrics.
func New(client kubernetes.Interface, now func() time.Time, reg prometheus.Registerer, log *slog.Logger, s Settings) (*Cluster, error) {
	c := &Cluster{
		Settings: s, client: client, now: now, log: log,
		synced: make(chan struct{}), changes: broadcast.New(), inflight: map[server.ID]bool{},
	}
	c.answers = newProber(s.Trust, c.answered, log)
	ours := c.factory(resync, func(o *metav1.ListOptions) {
		o.LabelSelector = labels.SelectorFromSet(labels.Set{contract.LabelManagedBy: contract.ManagedBySpawner}).String()
	})
	about := c.factory(0, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("involvedObject.kind", "Pod").String()
	})
	c.pods, c.events = ours.Core().V1().Pods().Informer(), about.Core().V1().Events().Informer()
	if err := c.prepareInformers(); err != nil {
		return nil, err
	}
	c.metrics = newMetrics(reg, now, c.running)
	return c, nil
}

// factory returns an informer factory for the namespace of the servers.
func (c *Cluster) factory(resync time.Duration, tweak func(*metav1.ListOptions)) informers.SharedInformerFactory {
	f := informers.NewSharedInformerFactoryWithOptions(c.client, resync,
		informers.WithNamespace(c.Site.Namespace), informers.WithTweakListOptions(tweak))
	c.factories = append(c.factories, f)
	return f
}

func (c *Cluster) prepareInformers() error {
	for _, i := range []cache.SharedIndexInformer{c.pods, c.events} {
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
	}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	if err := c.events.AddIndexers(cache.Indexers{byPod: func(o any) ([]string, error) {
		return []string{string(o.(*corev1.Event).InvolvedObject.UID)}, nil
	}}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	return nil
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
	if _, err := c.events.AddEventHandler(c.eventHandler(ctx)); err != nil {
		return fmt.Errorf("watch events: %w", err)
	}
	for _, f := range c.factories {
		f.Start(ctx.Done())
	}
	if cache.WaitForCacheSync(ctx.Done(), c.pods.HasSynced, c.events.HasSynced) {
		close(c.synced)
	}
	<-ctx.Done()
	for _, f := range c.factories {
		f.Shutdown()
	}
	c.answers.wait()
	return nil
}
