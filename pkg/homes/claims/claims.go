package claims

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/homes/plan"
)

// How long a claim that cannot be fulfilled waits for its next try: a volume's server may be away for a moment.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = time.Minute
)

// Claims are those of the pods of one node, in one namespace.
type Claims struct {
	Client    kubernetes.Interface
	Namespace string
	Node      string
	Exports   []plan.Export
}

// ErrGone says that the pod is not there, or another one has its name.
var ErrGone = errors.New("there is no such pod")

// Pod asks for a pod of this node by name and UID.
func (c Claims) Pod(ctx context.Context, name string, uid types.UID) (*corev1.Pod, error) {
	pod, err := c.Client.CoreV1().Pods(c.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && (pod.UID != uid || pod.Spec.NodeName != c.Node) {
		return nil, fmt.Errorf("pod %s: %w", name, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("get pod %s: %w", name, err)
	}
	return pod, nil
}

// Place asks where the home is that a pod was given.
func (c Claims) Place(ctx context.Context, pod *corev1.Pod) (plan.Place, error) {
	// A few claims, and not those of the whole namespace: a UID cannot be asked for.
	owner := labels.Set{contract.LabelUsername: pod.Labels[contract.LabelUsername]}.String()
	list, err := c.Client.CoreV1().PersistentVolumeClaims(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: owner})
	if err != nil {
		return plan.Place{}, fmt.Errorf("list the owner's claims: %w", err)
	}
	claim, err := plan.Mine(pod, list.Items)
	if err != nil {
		return plan.Place{}, err
	}
	volume, err := c.Client.CoreV1().PersistentVolumes().Get(ctx, claim.Spec.VolumeName, metav1.GetOptions{})
	if err != nil {
		return plan.Place{}, fmt.Errorf("get volume %s: %w", claim.Spec.VolumeName, err)
	}
	return plan.Locate(claim, volume, c.Exports)
}

// Run calls give with each pod of the node that has a late home and was claimed, those from before too, one after
// another, until ctx is done. When give fails, the pod's events say why and it is called again later.
func (c Claims) Run(ctx context.Context, give func(context.Context, *corev1.Pod) error) error {
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithNamespace(c.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", c.Node).String()
		}))
	pods := factory.Core().V1().Pods()
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry))
	defer queue.ShutDown()
	add := func(o any) {
		if pod, ok := o.(*corev1.Pod); ok && plan.Claimed(pod) != "" && len(plan.Volumes(pod)) > 0 && pod.DeletionTimestamp == nil {
			queue.Add(pod.Name)
		}
	}
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }}); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	events, stop := c.events(ctx)
	defer stop()
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer queue.ShutDown() // before Shutdown waits
	go func() { <-ctx.Done(); queue.ShutDown() }()
	for {
		name, end := queue.Get()
		if end {
			return ctx.Err()
		}
		c.one(ctx, pods.Lister().Pods(c.Namespace).Get, name, give, events, queue)
	}
}

func (c Claims) one(ctx context.Context, get func(string) (*corev1.Pod, error), name string,
	give func(context.Context, *corev1.Pod) error, events record.EventRecorder, queue workqueue.TypedRateLimitingInterface[string],
) {
	defer queue.Done(name)
	pod, err := get(name)
	if err != nil || pod.DeletionTimestamp != nil {
		queue.Forget(name)
		return
	}
	if err := give(ctx, pod); err != nil {
		events.Event(pod, corev1.EventTypeWarning, "FailedHome", err.Error())
		queue.AddRateLimited(name)
		return
	}
	queue.Forget(name)
}

// events tells a pod's owner and administrators what keeps the home away.
func (c Claims) events(ctx context.Context) (record.EventRecorder, func()) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.Client.CoreV1().Events(c.Namespace)})
	return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: plan.Driver, Host: c.Node}), broadcaster.Shutdown
}
