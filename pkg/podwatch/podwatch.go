package podwatch

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
)

// Sink hears of pods. Its methods are called from one goroutine per namespace.
// Pods must not be changed: they are the informer's own.
type Sink interface {
	Set(pod *corev1.Pod)
	Delete(namespace, name string)
}

// Watch feeds sink from the given namespaces ("" = all) until ctx is done. It
// returns once every pod that existed at the start has been handed over, so the
// caller can serve the first complete set; watching goes on in the background.
func Watch(ctx context.Context, client kubernetes.Interface, namespaces []string, sink Sink) error {
	var synced []cache.InformerSynced
	for _, ns := range namespaces {
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
			informers.WithNamespace(ns),
			informers.WithTransform(trim),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = contract.LabelUsername }),
		)
		reg, err := factory.Core().V1().Pods().Informer().AddEventHandler(handler(sink))
		if err != nil {
			return fmt.Errorf("watch pods: %w", err)
		}
		synced = append(synced, reg.HasSynced)
		factory.Start(ctx.Done())
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return errors.Join(errors.New("pods were not listed before the stop"), ctx.Err())
	}
	return nil
}

func handler(sink Sink) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if pod, ok := obj.(*corev1.Pod); ok {
				sink.Set(pod)
			}
		},
		UpdateFunc: func(_, obj any) {
			if pod, ok := obj.(*corev1.Pod); ok {
				sink.Set(pod)
			}
		},
		DeleteFunc: func(obj any) {
			// A deletion missed while disconnected arrives as a tombstone.
			key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
			if err != nil {
				return
			}
			namespace, name, err := cache.SplitMetaNamespaceKey(key)
			if err != nil {
				return
			}
			sink.Delete(namespace, name)
		},
	}
}

// trim drops what routing never reads, which is most of a pod: memory per routed
// pod is what bounds how many one xds-server can hold.
func trim(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	slim := &corev1.Pod{
		TypeMeta: pod.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{
			Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
			CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
			Labels:      keep(pod.Labels, contract.LabelUsername, contract.LabelServername),
			Annotations: keep(pod.Annotations, contract.LabelUsername, contract.LabelServername, contract.AnnotationPort, contract.AnnotationStripPrefix, contract.AnnotationNonce),
		},
		Spec: corev1.PodSpec{HostNetwork: pod.Spec.HostNetwork, ReadinessGates: pod.Spec.ReadinessGates},
		Status: corev1.PodStatus{
			Phase: pod.Status.Phase, PodIP: pod.Status.PodIP, HostIP: pod.Status.HostIP,
		},
	}
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			slim.Spec.Containers = append(slim.Spec.Containers, corev1.Container{Ports: c.Ports})
		}
	}
	for _, c := range pod.Status.Conditions {
		slim.Status.Conditions = append(slim.Status.Conditions, corev1.PodCondition{Type: c.Type, Status: c.Status})
	}
	return slim, nil
}

func keep(all map[string]string, keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := all[k]; ok {
			out[k] = v
		}
	}
	return out
}
