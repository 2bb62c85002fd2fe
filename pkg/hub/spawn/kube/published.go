package kube

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// Published returns the servers of a user that the spawner did not make and that the gateway
// leads to, sorted by ID.
func (c *Cluster) Published(user string) []server.Server {
	pods := c.indexed(byUser, user)
	for _, informer := range c.published {
		objects, _ := informer.GetIndexer().ByIndex(byUser, user) // added in watchPublished
		for _, o := range objects {
			pods = append(pods, o.(*corev1.Pod))
		}
	}
	return spawn.Published(pods)
}

// Routed returns all servers to which the gateway leads, sorted by ID.
func (c *Cluster) Routed() []server.Server {
	var pods []*corev1.Pod
	for _, informer := range append([]cache.SharedIndexInformer{c.pods}, c.published...) {
		for _, o := range informer.GetStore().List() {
			pods = append(pods, o.(*corev1.Pod))
		}
	}
	return spawn.Routed(pods)
}

// here returns the published pods of the namespace of the servers. In others the spawner may end none.
func (c *Cluster) here() []*corev1.Pod {
	i := slices.Index(c.Namespaces, c.Site.Namespace)
	if i < 0 {
		return nil
	}
	var pods []*corev1.Pod
	for _, o := range c.published[i].GetStore().List() { // watchPublished made one for each namespace
		pods = append(pods, o.(*corev1.Pod))
	}
	return pods
}

// watchPublished prepares an informer of labelled pods for each namespace that the gateway
// publishes. Nothing waits for them: a namespace that cannot be read hides its pods and no server.
func (c *Cluster) watchPublished() error {
	for _, namespace := range c.Namespaces {
		selector := contract.LabelUsername
		if namespace == c.Site.Namespace { // the spawner's own are in another cache
			selector += "," + contract.LabelManagedBy + "!=" + contract.ManagedBySpawner
		}
		f := informers.NewSharedInformerFactoryWithOptions(c.reads, 0, informers.WithNamespace(namespace),
			informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = selector }))
		informer := f.Core().V1().Pods().Informer()
		if err := informer.SetTransform(dropUnread); err != nil {
			return fmt.Errorf("prepare informer: %w", err)
		}
		if err := informer.AddIndexers(cache.Indexers{byUser: publishedBy}); err != nil {
			return fmt.Errorf("prepare informer: %w", err)
		}
		c.factories, c.published = append(c.factories, f), append(c.published, informer)
	}
	return nil
}

// publishedBy indexes pods that the spawner did not make by their owner.
func publishedBy(o any) ([]string, error) {
	pod := o.(*corev1.Pod)
	id, err := podmeta.ReadID(pod)
	if _, ours := spawn.Identify(pod); ours || err != nil {
		return nil, nil
	}
	return []string{id.User}, nil
}

// dropUnread keeps of a pod what podmeta reads.
func dropUnread(o any) (any, error) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return o, nil
	}
	pod.ManagedFields, pod.OwnerReferences = nil, nil
	spec := corev1.PodSpec{HostNetwork: pod.Spec.HostNetwork, ReadinessGates: pod.Spec.ReadinessGates}
	for _, container := range pod.Spec.Containers {
		spec.Containers = append(spec.Containers, corev1.Container{Name: container.Name, Ports: container.Ports})
	}
	pod.Spec = spec
	pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses = nil, nil
	return pod, nil
}
