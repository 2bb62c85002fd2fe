package kube

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Config is what a Cluster needs to know.
type Config struct {
	Site      spawn.Site
	Profile   spawn.Profile
	MasterKey []byte // at least 32 bytes; see contract.ServerSecret
	// StartTimeout is how long a server may take until it answers.
	StartTimeout time.Duration
	// SpawnLimit is how many servers may be starting at the same time.
	SpawnLimit int
}

// Cluster is the spawner's view of one namespace.
type Cluster struct {
	client kubernetes.Interface
	cfg    Config
	log    *slog.Logger

	factories []informers.SharedInformerFactory
	pods      cache.SharedIndexInformer
	events    cache.SharedIndexInformer
	changes   *broadcast
	answers   *prober
	metrics   *metrics

	mu       sync.Mutex
	inflight map[string]bool // names of pods that are being created right now
}

// Server is one server as it is now.
type Server struct {
	ID      server.ID
	UID     string    // the pod's; "" without one
	Created time.Time // the pod's; zero without one
	spawn.Status
}

const byUser, byPod = "user", "pod"

// resync is how often every pod is looked at again: an action that failed because the
// API was away is repeated then, and a start that takes too long is noticed.
const resync = 30 * time.Second

// New returns a Cluster; Run brings it to life.
func New(client kubernetes.Interface, cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Cluster, error) {
	c := &Cluster{
		client: client, cfg: cfg, log: log,
		changes: newBroadcast(), inflight: map[string]bool{},
	}
	c.answers = newProber(c.answered, log)
	ours := informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithNamespace(cfg.Site.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = labels.SelectorFromSet(labels.Set{contract.LabelManagedBy: contract.ManagedBySpawner}).String()
		}))
	about := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(cfg.Site.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("involvedObject.kind", "Pod").String()
		}))
	c.factories = []informers.SharedInformerFactory{ours, about}
	c.pods, c.events = ours.Core().V1().Pods().Informer(), about.Core().V1().Events().Informer()
	if err := c.prepareInformers(); err != nil {
		return nil, err
	}
	c.metrics = newMetrics(reg, c.running)
	return c, nil
}

func (c *Cluster) prepareInformers() error {
	for _, i := range []cache.SharedIndexInformer{c.pods, c.events} {
		if err := i.SetTransform(dropManagedFields); err != nil {
			return fmt.Errorf("prepare informer: %w", err)
		}
	}
	if err := c.pods.AddIndexers(cache.Indexers{byUser: func(o any) ([]string, error) {
		id, err := podmeta.ReadID(o.(*corev1.Pod))
		if err != nil {
			return nil, nil //nolint:nilerr // a pod that names nobody is in nobody's list
		}
		return []string{id.User}, nil
	}}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	if err := c.events.AddIndexers(cache.Indexers{byPod: func(o any) ([]string, error) {
		return []string{string(o.(*corev1.Event).InvolvedObject.UID)}, nil
	}}); err != nil {
		return fmt.Errorf("prepare informer: %w", err)
	}
	return nil
}

// dropManagedFields halves what the caches hold; nobody here reads them.
func dropManagedFields(o any) (any, error) {
	if m, ok := o.(metav1.Object); ok {
		m.SetManagedFields(nil)
	}
	return o, nil
}

// Run watches the namespace until ctx is done. synced is called once everything that
// existed at the start is known; before that, Get, List and Start must not be used.
func (c *Cluster) Run(ctx context.Context, synced func()) error {
	if _, err := c.pods.AddEventHandler(c.podHandler(ctx)); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	if _, err := c.events.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.changes.notify(o.(*corev1.Event).InvolvedObject.Name) },
		UpdateFunc: func(_, o any) { c.changes.notify(o.(*corev1.Event).InvolvedObject.Name) },
	}); err != nil {
		return fmt.Errorf("watch events: %w", err)
	}
	for _, f := range c.factories {
		f.Start(ctx.Done())
	}
	if cache.WaitForCacheSync(ctx.Done(), c.pods.HasSynced, c.events.HasSynced) {
		synced()
	}
	<-ctx.Done()
	for _, f := range c.factories {
		f.Shutdown()
	}
	c.answers.wait()
	return nil
}

// Get returns a server as it is now. It asks the API itself when its cache knows no pod:
// another replica may have created one a moment ago.
func (c *Cluster) Get(ctx context.Context, id server.ID) (Server, error) {
	if pod := c.cached(id); pod != nil {
		return c.describe(id, pod), nil
	}
	pod, err := c.live(ctx, id)
	if err != nil {
		return Server{}, err
	}
	return c.describe(id, pod), nil
}

// List returns a user's servers that have a pod, sorted by name.
func (c *Cluster) List(user string) []Server {
	objects, err := c.pods.GetIndexer().ByIndex(byUser, user)
	if err != nil {
		return nil // the index was added in New
	}
	var out []Server
	for _, o := range objects {
		pod := o.(*corev1.Pod)
		if id, err := podmeta.ReadID(pod); err == nil && id.User == user && pod.Name == spawn.PodName(id) {
			out = append(out, c.describe(id, pod))
		}
	}
	slices.SortFunc(out, func(a, b Server) int { return a.ID.Compare(b.ID) })
	return out
}

// Profile is what servers are made from.
func (c *Cluster) Profile() spawn.Profile { return c.cfg.Profile }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it.
func (c *Cluster) Watch(id server.ID) (<-chan struct{}, func()) {
	return c.changes.watch(spawn.PodName(id))
}

// cached returns the pod of a server from the cache, nil when there is none or when the
// pod of that name is not ours.
func (c *Cluster) cached(id server.ID) *corev1.Pod {
	o, ok, err := c.pods.GetIndexer().GetByKey(c.cfg.Site.Namespace + "/" + spawn.PodName(id))
	if err != nil || !ok {
		return nil
	}
	if pod := o.(*corev1.Pod); spawn.OwnsPod(pod, id) {
		return pod
	}
	return nil
}

// live reads the pod of a server from the API: nil when there is none, a Problem when
// its name is taken by somebody else's.
func (c *Cluster) live(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	pod, err := c.client.CoreV1().Pods(c.cfg.Site.Namespace).Get(ctx, spawn.PodName(id), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, problem("read pod", err)
	}
	if !spawn.OwnsPod(pod, id) {
		return nil, &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("pod %s is not ours", pod.Name)}
	}
	return pod, nil
}

func (c *Cluster) describe(id server.ID, pod *corev1.Pod) Server {
	s := Server{ID: id, Status: c.judge(pod)}
	if pod != nil {
		s.UID, s.Created = string(pod.UID), pod.CreationTimestamp.Time
	}
	return s
}

func (c *Cluster) judge(pod *corev1.Pod) spawn.Status {
	var events []*corev1.Event
	if pod != nil {
		objects, _ := c.events.GetIndexer().ByIndex(byPod, string(pod.UID)) // the index was added in New
		for _, o := range objects {
			events = append(events, o.(*corev1.Event))
		}
	}
	return spawn.StatusOf(pod, events, time.Now(), c.cfg.StartTimeout)
}

// running counts the servers that answer.
func (c *Cluster) running() float64 {
	n := 0.0
	for _, o := range c.pods.GetStore().List() {
		if spawn.IsAnswering(o.(*corev1.Pod)) {
			n++
		}
	}
	return n
}
