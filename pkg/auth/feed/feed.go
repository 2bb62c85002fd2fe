package feed

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Sink takes in what a Feed delivers, one call at a time.
type Sink interface {
	// Replace takes in a complete list: what is not in it no longer exists.
	Replace(ctx context.Context, all []*corev1.Secret)
	// Put takes in a Secret that was made or changed.
	Put(ctx context.Context, secret *corev1.Secret)
	// Drop takes in that a Secret was deleted.
	Drop(ctx context.Context, secret *corev1.Secret)
}

// Settings says which Secrets a Feed follows.
type Settings struct {
	// Name says in log lines what is followed: "accounts".
	Name string
	// Namespace, Labels and Fields select the Secrets. List and watch ask for no others, so
	// the Role need not allow more.
	Namespace, Labels, Fields string
	Log                       *slog.Logger
}

// Feed follows Secrets. Make it with New and keep Run running.
type Feed struct {
	client kubernetes.Interface
	sink   Sink
	Settings

	errors atomic.Uint64
	once   sync.Once
	synced chan struct{}
}

// New returns a Feed that delivers to sink.
func New(client kubernetes.Interface, sink Sink, s Settings) *Feed {
	return &Feed{client: client, sink: sink, Settings: s, synced: make(chan struct{})}
}

// Synced is closed once the first complete list was delivered.
func (f *Feed) Synced() <-chan struct{} { return f.synced }

// Errors counts failed attempts to list or watch since the start.
func (f *Feed) Errors() uint64 { return f.errors.Load() }

// Run follows the Secrets until ctx is done.
func (f *Feed) Run(ctx context.Context) error {
	cache.NewReflectorWithOptions(f.listWatch(), &corev1.Secret{}, store{f, ctx}, cache.ReflectorOptions{Name: f.Name}).RunWithContext(ctx)
	return nil
}

func (f *Feed) listWatch() cache.ListerWatcher {
	secrets := f.client.CoreV1().Secrets(f.Namespace)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := secrets.List(ctx, f.only(o))
			f.noteError(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			events, err := secrets.Watch(ctx, f.only(o))
			f.noteError(ctx, err)
			return events, err
		},
	}, f.client)
}

func (f *Feed) only(o metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector, o.FieldSelector = f.Labels, f.Fields
	return o
}

func (f *Feed) noteError(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	f.errors.Add(1)
	f.Log.WarnContext(ctx, "Secrets cannot be followed; what was read last stays in force", "feed", f.Name, "error", err)
}

// store is the Feed as client-go's reflector sees it.
type store struct {
	feed *Feed
	ctx  context.Context //nolint:containedctx // for log lines; the reflector passes none
}

var _ cache.ReflectorStore = store{}

func (s store) Add(o any) error { return s.Update(o) }
func (s store) Resync() error   { return nil }

func (s store) Update(o any) error {
	if secret, ok := o.(*corev1.Secret); ok {
		s.feed.sink.Put(s.ctx, secret)
	}
	return nil
}

func (s store) Delete(o any) error {
	if secret, ok := o.(*corev1.Secret); ok {
		s.feed.sink.Drop(s.ctx, secret)
	}
	return nil
}

func (s store) Replace(list []any, _ string) error {
	all := make([]*corev1.Secret, 0, len(list))
	for _, o := range list {
		if secret, ok := o.(*corev1.Secret); ok {
			all = append(all, secret)
		}
	}
	s.feed.sink.Replace(s.ctx, all)
	s.feed.once.Do(func() { close(s.feed.synced) })
	return nil
}
