package enforce

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/deploy/onenode/programs/policy"
)

const (
	lookAgain  = 10 * time.Second // whether the table is still there
	afterFault = time.Second      // until a failed write is tried again
	askAgain   = 100 * time.Millisecond
)

// Enforcer keeps the table of one node.
type Enforcer struct {
	client kubernetes.Interface
	node   string
	writer *Writer
	forget func(addresses) error
	log    *slog.Logger

	factory    informers.SharedInformerFactory
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister

	changed chan struct{} // holds one token if objects changed since the last write began
	owners  owners

	mu      sync.Mutex
	written chan struct{} // closed and renewed with each write
	applied map[string]string
	failure error
}

// New returns an enforcer for the pods of the node with this name. forget makes the kernel forget connections of addresses that were given back.
func New(client kubernetes.Interface, node string, writer *Writer, forget func(addresses) error, log *slog.Logger) (*Enforcer, error) {
	e := &Enforcer{
		client: client, node: node, writer: writer, forget: forget, log: log,
		factory: informers.NewSharedInformerFactory(client, 0),
		changed: make(chan struct{}, 1), written: make(chan struct{}), owners: newOwners(),
	}
	pods, namespaces, policies := e.factory.Core().V1().Pods(), e.factory.Core().V1().Namespaces(), e.factory.Networking().V1().NetworkPolicies()
	e.pods, e.namespaces, e.policies = pods.Lister(), namespaces.Lister(), policies.Lister()
	if err := pods.Informer().SetTransform(slim); err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { e.change() },
			DeleteFunc: func(any) { e.change() },
			UpdateFunc: func(before, after any) {
				if !e.sameForRules(before, after) {
					e.change()
				}
			},
		}); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	return e, nil
}

// slim leaves of a pod what policy.FromPod reads: a cluster's pods are many, and each node keeps all of them.
func slim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields, pod.Annotations, pod.OwnerReferences = nil, nil, nil
	ports := func(containers []corev1.Container) (kept []corev1.Container) {
		for _, container := range containers {
			kept = append(kept, corev1.Container{Ports: container.Ports, RestartPolicy: container.RestartPolicy})
		}
		return kept
	}
	pod.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork,
		Containers: ports(pod.Spec.Containers), InitContainers: ports(pod.Spec.InitContainers),
	}
	pod.Status = corev1.PodStatus{Phase: pod.Status.Phase, PodIPs: pod.Status.PodIPs}
	return pod, nil
}

// sameForRules reports whether a change of an object changes no rule: pods report their state again and again.
func (e *Enforcer) sameForRules(before, after any) bool {
	old, isPod := before.(*corev1.Pod)
	if !isPod {
		return false
	}
	a, hadRules := policy.FromPod(old, e.node)
	b, hasRules := policy.FromPod(after.(*corev1.Pod), e.node)
	return hadRules == hasRules && reflect.DeepEqual(a, b)
}

func (e *Enforcer) change() {
	select {
	case e.changed <- struct{}{}:
	default: // the next write sees this change too
	}
}

// Run writes the table, and again with each change, until ctx ends. The table stays then: pods go on, and so do their rules.
func (e *Enforcer) Run(ctx context.Context) {
	if !e.mayRead(ctx) {
		return
	}
	e.factory.Start(ctx.Done())
	for kind, synced := range e.factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			e.log.Warn("not everything was read before the end", "kind", kind)
			return
		}
	}
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	e.change()
	var faults []string
	for {
		select {
		case <-ctx.Done():
			e.factory.Shutdown()
			return
		case <-tick.C:
			if err := e.writer.Check(ctx); err != nil {
				e.log.Warn("the table cannot be read", "err", err)
			}
		case <-e.changed:
		}
		faults = e.write(ctx, faults)
	}
}

// mayRead waits until the API server lets the enforcer read. On a new cluster its rights come after it; the informers would then wait for seconds before they
// ask again, and all pods with them. It returns false if ctx ends before.
func (e *Enforcer) mayRead(ctx context.Context) bool {
	said := false
	for {
		_, err := e.client.NetworkingV1().NetworkPolicies("").List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil {
			return true
		}
		if !said {
			e.log.Warn("NetworkPolicies cannot be read yet", "err", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(askAgain):
		}
	}
}

// write computes and writes the table once. It says what is wrong with policies if that has changed, and returns it.
func (e *Enforcer) write(ctx context.Context, before []string) []string {
	started := time.Now()
	cluster, err := e.read()
	if err != nil {
		e.log.Error("the caches cannot be read", "err", err)
		return before
	}
	table, faults := policy.Compute(cluster)
	operations, err := e.writer.Write(ctx, table)
	e.note(cluster, table, err)
	if err != nil {
		e.log.Error("the rules are as they were", "err", err)
		time.AfterFunc(afterFault, e.change)
	} else if operations > 0 {
		e.log.Debug("rules written", "operations", operations, "took", time.Since(started), "pods", len(cluster.Pods), "policies", len(cluster.Policies))
	}
	if !slices.Equal(faults, before) {
		for _, fault := range faults {
			e.log.Warn(fault)
		}
	}
	return faults
}

// read collects what the rules depend on.
func (e *Enforcer) read() (policy.Cluster, error) {
	var cluster policy.Cluster
	pods, err := e.pods.List(labels.Everything())
	if err != nil {
		return cluster, fmt.Errorf("pods: %w", err)
	}
	namespaces, err := e.namespaces.List(labels.Everything())
	if err != nil {
		return cluster, fmt.Errorf("namespaces: %w", err)
	}
	if cluster.Policies, err = e.policies.List(labels.Everything()); err != nil {
		return cluster, fmt.Errorf("NetworkPolicies: %w", err)
	}
	cluster.Namespaces = make(map[string]map[string]string, len(namespaces))
	for _, namespace := range namespaces {
		cluster.Namespaces[namespace.Name] = namespace.Labels
	}
	for _, pod := range pods {
		if p, ok := policy.FromPod(pod, e.node); ok {
			cluster.Pods = append(cluster.Pods, p)
		}
	}
	e.owners.correct(cluster.Pods)
	return cluster, nil
}
