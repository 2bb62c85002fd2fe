package podwatch

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
)

// Sink hears of pods. Its methods are called from one goroutine per namespace.
type Sink interface {
	// Wants reports, by the pod's owner, whether the sink is to hear of it.
	Wants(pod *corev1.Pod) bool
	Set(pod *corev1.Pod)
	Delete(namespace, name string)
}

// Watcher feeds a Sink with the labelled pods of some namespaces.
type Watcher struct {
	client     kubernetes.Interface
	namespaces []string
	sink       Sink
	synced     chan struct{}
}

// New returns a Watcher of the given namespaces ("" = all). It begins with Run.
func New(client kubernetes.Interface, sink Sink, namespaces []string) *Watcher {
	return &Watcher{client: client, namespaces: namespaces, sink: sink, synced: make(chan struct{})}
}

// Synced returns a channel that is closed once every pod that existed at the start has been
// handed over: only then does the sink know the complete set.
func (w *Watcher) Synced() <-chan struct{} { return w.synced }

// Run watches until ctx is done and returns ctx's error.
func (w *Watcher) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	var feeds []*feed
	for _, ns := range w.namespaces {
		f := &feed{sink: w.sink, known: map[cache.ObjectName]struct{}{}, complete: make(chan struct{})}
		reflector := cache.NewReflectorWithOptions(source(w.client, ns), &corev1.Pod{}, f, cache.ReflectorOptions{Name: "pods"})
		group.Go(func() { reflector.RunWithContext(ctx) })
		feeds = append(feeds, f)
	}
	for _, f := range feeds {
		select {
		case <-f.complete:
		case <-ctx.Done():
			return fmt.Errorf("pods were not listed before the stop: %w", ctx.Err())
		}
	}
	close(w.synced)
	<-ctx.Done()
	return ctx.Err()
}

// source lists and watches the labelled pods of one namespace.
func source(client kubernetes.Interface, namespace string) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = contract.LabelUsername
			return client.CoreV1().Pods(namespace).List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = contract.LabelUsername
			return client.CoreV1().Pods(namespace).Watch(ctx, o)
		},
	}, client)
}

// feed is where a reflector puts pods. It hands them on and keeps their names only: an
// informer's store would hold a second copy of every pod (3.5 kB each, measured).
type feed struct {
	sink     Sink
	known    map[cache.ObjectName]struct{}
	complete chan struct{} // closed after the first list
}

// Add takes in a pod that was not there, or what trim has left of one.
func (f *feed) Add(obj any) error {
	switch pod := obj.(type) {
	case *metav1.PartialObjectMetadata:
		f.leave(cache.MetaObjectToName(pod))
	case *corev1.Pod:
		f.take(pod)
	default:
		return fmt.Errorf("the watch on pods delivers a %T", obj)
	}
	return nil
}

func (f *feed) take(pod *corev1.Pod) {
	name := cache.MetaObjectToName(pod)
	if !f.sink.Wants(pod) {
		f.leave(name)
		return
	}
	f.known[name] = struct{}{}
	f.sink.Set(pod)
}

// leave takes in a pod that the sink does not want. It may have had another owner before.
func (f *feed) leave(name cache.ObjectName) {
	if _, ok := f.known[name]; ok {
		f.forget(name)
	}
}

// Update takes in a pod's new state.
func (f *feed) Update(obj any) error { return f.Add(obj) }

// Delete takes in that a pod is gone, or carries the label no more.
func (f *feed) Delete(obj any) error {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return fmt.Errorf("the watch on pods delivers a %T", obj)
	}
	f.forget(cache.MetaObjectToName(pod))
	return nil
}

// Replace takes in a whole list: the first, or one after a watch was lost, when
// deletions may have been missed.
func (f *feed) Replace(list []any, _ string) error {
	gone := f.known
	f.known = make(map[cache.ObjectName]struct{}, len(list))
	var faults []error
	for _, obj := range list {
		if err := f.Add(obj); err != nil {
			faults = append(faults, err)
		}
	}
	for name := range f.known {
		delete(gone, name)
	}
	for name := range gone {
		f.forget(name)
	}
	select {
	case <-f.complete:
	default:
		close(f.complete)
	}
	return errors.Join(faults...)
}

// Resync does nothing: a feed keeps no objects to deliver again.
func (f *feed) Resync() error { return nil }

// Transformer makes the reflector trim pods while a list comes in.
func (f *feed) Transformer() cache.TransformFunc { return f.trim }

func (f *feed) forget(name cache.ObjectName) {
	delete(f.known, name)
	f.sink.Delete(name.Namespace, name.Name)
}

// trim drops most of the fields that routing never reads: the memory for 100,000 whole pods
// at once would bound how many pods one xds-server can serve. Of a pod that the sink does not
// want the name is left.
func (f *feed) trim(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	if !f.sink.Wants(pod) {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}, nil
	}
	pod.ManagedFields = nil
	pod.Spec.Volumes, pod.Spec.InitContainers = nil, nil
	pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = nil, nil
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i] = corev1.Container{Ports: pod.Spec.Containers[i].Ports}
	}
	return pod, nil
}
