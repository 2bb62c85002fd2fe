package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// answer is what the scheduler has said of a pod: a node, or why there is none.
type answer struct {
	pod *corev1.Pod
	why string
}

// answers follows what the scheduler says of the pods of a namespace.
type answers struct {
	informer cache.SharedIndexInformer
	// news has one element when there is something to take.
	news chan struct{}

	mu    sync.Mutex
	fresh []answer             // in the order in which they were seen
	told  map[types.UID]string // the node, or "" for none
}

// follow begins to follow, and returns when all pods are known. It ends with ctx.
func follow(ctx context.Context, client kubernetes.Interface, namespace string) (*answers, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	a := &answers{informer: factory.Core().V1().Pods().Informer(), news: make(chan struct{}, 1), told: map[types.UID]string{}}
	if _, err := a.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: a.see, UpdateFunc: func(_, o any) { a.see(o) },
	}); err != nil {
		return nil, fmt.Errorf("follow pods: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), a.informer.HasSynced) {
		return nil, fmt.Errorf("follow pods: %w", ctx.Err())
	}
	return a, nil
}

func (a *answers) see(o any) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	why, refused := unschedulable(pod)
	if pod.Spec.NodeName == "" && !refused {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if node, ok := a.told[pod.UID]; ok && node == pod.Spec.NodeName {
		return
	}
	a.told[pod.UID] = pod.Spec.NodeName
	a.fresh = append(a.fresh, answer{pod, why})
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// take returns what was said since it was asked last.
func (a *answers) take() []answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.fresh
	a.fresh = nil
	return all
}

// empty reports whether no pod is left.
func (a *answers) empty() bool { return len(a.informer.GetStore().ListKeys()) == 0 }

// run reports whether every pod that has a node runs.
func (a *answers) run() bool {
	for _, o := range a.informer.GetStore().List() {
		if pod, ok := o.(*corev1.Pod); ok && pod.Spec.NodeName != "" && pod.Status.Phase != corev1.PodRunning {
			return false
		}
	}
	return true
}

// unschedulable is why the scheduler has no node for a pod.
func unschedulable(pod *corev1.Pod) (why string, ok bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
			return c.Message, true
		}
	}
	return "", false
}

// until asks until it is so, or patience is over.
func until(ctx context.Context, what string, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := is(ctx)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: still not so after %s", what, patience)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
