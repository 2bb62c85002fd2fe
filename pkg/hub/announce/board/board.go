package board

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/announce"
)

const (
	// Name is the ConfigMap's.
	Name = "usage.messages"
	key  = "messages.json"
	// component is the ConfigMap's label: it is no record of a user.
	component = "messages"
)

// Board is one replica's view of the messages. Make it with New and keep Run running.
type Board struct {
	client    kubernetes.Interface
	namespace string
	now       func() time.Time
	log       *slog.Logger
	list      atomic.Pointer[announce.List]
}

// New returns a Board without messages. now is the clock.
func New(client kubernetes.Interface, namespace string, now func() time.Time, log *slog.Logger) *Board {
	return &Board{client: client, namespace: namespace, now: now, log: log}
}

// Shown returns the messages that are shown at this moment, latest last. Before the first look into
// the cluster there are none: a page waits for no message.
func (b *Board) Shown() announce.List {
	if l := b.list.Load(); l != nil {
		return l.Shown(b.now())
	}
	return nil
}

// Post shows one more message, or returns announce.ErrMany.
func (b *Board) Post(ctx context.Context, m announce.Message) error {
	return b.change(ctx, func(l announce.List) (announce.List, error) { return l.With(m, b.now()) })
}

// Remove takes a message away; one that is gone already is what the caller wants.
func (b *Board) Remove(ctx context.Context, id string) error {
	return b.change(ctx, func(l announce.List) (announce.List, error) {
		l, _ = l.Without(id)
		return l, nil
	})
}

// change writes what f makes of the list, against all who change it at the same time.
func (b *Board) change(ctx context.Context, f func(announce.List) (announce.List, error)) error {
	maps := b.client.CoreV1().ConfigMaps(b.namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		m, err := maps.Get(ctx, Name, metav1.GetOptions{})
		missing := apierrors.IsNotFound(err)
		if err != nil && !missing {
			return fmt.Errorf("read messages: %w", err)
		}
		if missing {
			m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: Name, Namespace: b.namespace, Labels: map[string]string{
				contract.LabelManagedBy: contract.ManagedBySpawner, contract.LabelComponent: component,
			}}}
		}
		l, err := f(b.read(m))
		if err != nil {
			return err
		}
		text, err := l.Encode()
		if err != nil {
			return fmt.Errorf("write messages: %w", err)
		}
		m = m.DeepCopy()
		m.Data = map[string]string{key: string(text)}
		if missing {
			_, err = maps.Create(ctx, m, metav1.CreateOptions{})
		} else {
			_, err = maps.Update(ctx, m, metav1.UpdateOptions{})
		}
		if apierrors.IsAlreadyExists(err) { // another replica was faster
			return apierrors.NewConflict(corev1.Resource("configmaps"), Name, err)
		}
		if err != nil {
			return err
		}
		b.list.Store(&l) // the page that follows shows it
		return nil
	})
}

// read returns the messages in an object. One that cannot be read has none.
func (b *Board) read(m *corev1.ConfigMap) announce.List {
	if m.Data[key] == "" {
		return nil
	}
	l, err := announce.Parse([]byte(m.Data[key]))
	if err != nil {
		b.log.Error("messages to everybody cannot be read", "configmap", m.Name, "error", err)
	}
	return l
}

// Run follows the messages until ctx is done.
func (b *Board) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(b.client, 0, informers.WithNamespace(b.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", Name).String()
		}))
	take := func(o any) {
		if m, ok := o.(*corev1.ConfigMap); ok && m.Name == Name {
			l := b.read(m)
			b.list.Store(&l)
		}
	}
	_, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: take, UpdateFunc: func(_, o any) { take(o) }, DeleteFunc: func(any) { b.list.Store(nil) },
	})
	if err != nil {
		return fmt.Errorf("watch messages: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}
