package kube

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
)

// Get returns a server as it is now. It asks the API itself when its cache knows no pod:
// another replica may have created one a moment ago.
func (c *Cluster) Get(ctx context.Context, id server.ID) (spawn.Server, error) {
	if pod := c.cached(id); pod != nil {
		return c.describe(id, pod), nil
	}
	pod, err := c.live(ctx, id)
	if err != nil {
		return spawn.Server{}, err
	}
	return c.describe(id, pod), nil
}

// List returns a user's servers that have a pod, sorted by name.
func (c *Cluster) List(user string) []spawn.Server {
	var out []spawn.Server
	for _, pod := range c.indexed(byUser, user) {
		if id, ok := spawn.Identify(pod); ok {
			out = append(out, c.describe(id, pod))
		}
	}
	slices.SortFunc(out, func(a, b spawn.Server) int { return a.ID.Compare(b.ID) })
	return out
}

// Profiles returns what a user may choose from.
func (c *Cluster) Profiles(user access.User) spawn.Catalog { return c.Catalog.For(user.Groups) }

// Watch returns a channel that receives something after each change of a server, and a
// function that ends it.
func (c *Cluster) Watch(id server.ID) (<-chan struct{}, func()) { return c.changes.Watch(id) }

// cached returns the pod of a server from the cache, nil when there is none.
func (c *Cluster) cached(id server.ID) *corev1.Pod {
	pods := c.indexed(byServer, id.String())
	if len(pods) == 0 {
		return nil
	}
	return pods[0]
}

func (c *Cluster) indexed(index, key string) []*corev1.Pod {
	objects, _ := c.pods.GetIndexer().ByIndex(index, key) // the indexes were added in New
	pods := make([]*corev1.Pod, len(objects))
	for i, o := range objects {
		pods[i] = o.(*corev1.Pod)
	}
	return pods
}

// live reads the pod of a server from the API: nil when there is none, a Problem when
// its name is taken by a pod that the spawner did not make.
func (c *Cluster) live(ctx context.Context, id server.ID) (*corev1.Pod, error) {
	for _, place := range c.Site.Places(id.User, c.Catalog) {
		for _, name := range spawn.PodNames(id) {
			pod, err := c.client.CoreV1().Pods(place.Namespace).Get(ctx, name, metav1.GetOptions{})
			switch {
			case err == nil && spawn.OwnsPod(pod, id):
				return pod, nil
			case err == nil && name == spawn.PodName(id):
				return nil, &spawn.Problem{Message: spawn.MsgConflict, Err: fmt.Errorf("pod %s is not ours", name)}
			case err != nil && !apierrors.IsNotFound(err):
				return nil, problem("read pod", err)
			}
		}
	}
	return nil, nil
}

func (c *Cluster) describe(id server.ID, pod *corev1.Pod) spawn.Server {
	return spawn.Describe(id, pod, c.eventsOf(pod), c.now(), c.StartTimeout)
}

func (c *Cluster) plan(pod *corev1.Pod) spawn.Action {
	return spawn.Plan(pod, c.eventsOf(pod), c.now(), c.StartTimeout)
}

func (c *Cluster) phase(pod *corev1.Pod) spawn.Phase {
	return spawn.StatusOf(pod, c.eventsOf(pod), c.now(), c.StartTimeout).Phase
}

// eventsOf returns what the cluster said about a pod, which may be nil.
func (c *Cluster) eventsOf(pod *corev1.Pod) []*corev1.Event {
	if pod == nil {
		return nil
	}
	objects, _ := c.events.GetIndexer().ByIndex(byPod, string(pod.UID)) // the index was added in New
	events := make([]*corev1.Event, len(objects))
	for i, o := range objects {
		events[i] = o.(*corev1.Event)
	}
	return events
}

// running counts the servers that answer.
func (c *Cluster) running() float64 {
	n := 0.0
	for _, o := range c.pods.GetStore().List() {
		if spawn.IsAnswering(o.(*corev1.Pod)) {
			n++
		}
	}
	return n
}
