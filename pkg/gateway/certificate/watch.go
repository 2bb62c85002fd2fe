package certificate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Run watches the Secret until ctx is done and returns ctx's error. It needs get, list and
// watch on this one name.
func (k *Keeper) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(k.client, 0,
		informers.WithNamespace(k.settings.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, k.settings.Secret).String()
		}),
	)
	informer := factory.Core().V1().Secrets()
	reg, err := informer.Informer().AddEventHandler(k.handler())
	if err != nil {
		return fmt.Errorf("watch the certificate: %w", err)
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), reg.HasSynced) {
		return fmt.Errorf("the certificate was not read before the stop: %w", ctx.Err())
	}
	if _, err := informer.Lister().Secrets(k.settings.Namespace).Get(k.settings.Secret); err != nil {
		k.remove()
	}
	close(k.synced)
	<-ctx.Done()
	return ctx.Err()
}

func (k *Keeper) handler() cache.ResourceEventHandlerFuncs {
	set := func(obj any) {
		if secret, ok := obj.(*corev1.Secret); ok && secret.Name == k.settings.Secret {
			k.set(secret)
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
			if _, gone, err := cache.SplitMetaNamespaceKey(key); err == nil && gone == k.settings.Secret {
				k.remove()
			}
		},
	}
}
