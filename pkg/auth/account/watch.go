package account

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
)

// Run watches all accounts until ctx is done.
func (s *Store) Run(ctx context.Context) error {
	cache.NewReflectorWithOptions(s.listWatch(), &corev1.Secret{}, sink{s, ctx}, cache.ReflectorOptions{Name: "accounts"}).RunWithContext(ctx)
	return nil
}

func (s *Store) listWatch() cache.ListerWatcher {
	secrets := s.client.CoreV1().Secrets(s.namespace)
	only := s.selector()
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = only
			return secrets.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = only
			return secrets.Watch(ctx, o)
		},
	}, s.client)
}

// sink receives the reflector's events. It keeps no Secret.
type sink struct {
	store *Store
	ctx   context.Context //nolint:containedctx // for log lines; the reflector passes none
}

var _ cache.ReflectorStore = sink{}

func (k sink) Add(o any) error { return k.Update(o) }
func (k sink) Resync() error   { return nil }

func (k sink) Update(o any) error {
	if e, ok := k.decode(o); ok {
		k.store.view.set(e.uid, e.stored)
	}
	return nil
}

func (k sink) Delete(o any) error {
	if secret, ok := o.(*corev1.Secret); ok {
		// By the object's name: its content may be what could not be read.
		k.store.view.removeWhere(func(name string) bool { return k.store.secretName(name) == secret.Name })
	}
	return nil
}

func (k sink) Replace(list []any, _ string) error {
	all := make([]entry, 0, len(list))
	objects := make(map[string]bool, len(list))
	for _, o := range list {
		if secret, ok := o.(*corev1.Secret); ok {
			objects[secret.Name] = true
		}
		if e, ok := k.decode(o); ok {
			all = append(all, e)
		}
	}
	k.store.view.replace(all, func(name string) bool { return objects[k.store.secretName(name)] })
	k.store.once.Do(func() { close(k.store.synced) })
	return nil
}

// decode reports what cannot be read; it must not hide the others.
func (k sink) decode(o any) (entry, bool) {
	secret, ok := o.(*corev1.Secret)
	if !ok || secret.Labels[contract.LabelAccount] == "" || secret.Labels[contract.LabelInstance] != k.store.release {
		return entry{}, false
	}
	v, err := k.store.decode(secret)
	if err != nil {
		k.store.log.ErrorContext(k.ctx, "an account cannot be read; what was known of it before stays in force", "error", err)
		return entry{}, false
	}
	return entry{v, secret.UID}, true
}
