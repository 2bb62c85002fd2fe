package certificate

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Watch feeds keeper from one Secret until ctx is done. It returns once the Secret as
// it is now, or its absence, has been taken in; watching goes on in the background.
// Right: get, list and watch on this one name.
func Watch(ctx context.Context, client kubernetes.Interface, namespace, name string, keeper *Keeper) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		}),
	)
	informer := factory.Core().V1().Secrets()
	reg, err := informer.Informer().AddEventHandler(handler(name, keeper))
	if err != nil {
		return fmt.Errorf("watch the certificate: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), reg.HasSynced) {
		return errors.Join(errors.New("the certificate was not read before the stop"), ctx.Err())
	}
	if _, err := informer.Lister().Secrets(namespace).Get(name); err != nil {
		keeper.Delete()
	}
	return nil
}

func handler(name string, keeper *Keeper) cache.ResourceEventHandlerFuncs {
	set := func(obj any) {
		if secret, ok := obj.(*corev1.Secret); ok && secret.Name == name {
			keeper.Set(secret)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			// A deletion missed while disconnected arrives as a tombstone.
			key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
			if err != nil {
				return
			}
			if _, gone, err := cache.SplitMetaNamespaceKey(key); err == nil && gone == name {
				keeper.Delete()
			}
		},
	}
}
