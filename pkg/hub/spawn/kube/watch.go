package kube

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

const (
	// patchTimeout bounds one write of a condition.
	patchTimeout = 10 * time.Second
	// answerPatience is how long a replica leaves it to the one that made a pod to write down that
	// it answers. It is a user's wait only when that one was killed.
	answerPatience = 2 * time.Second
)

// podHandler follows the pods: those that wait for a secret get it, those that start are
// probed. Every replica does this; doing it twice changes nothing.
func (c *Cluster) podHandler(ctx context.Context) cache.ResourceEventHandler {
	seen := func(o any) {
		pod := o.(*corev1.Pod)
		if id, ok := spawn.Identify(pod); ok {
			c.queue.drop(id, pod.Annotations[contract.AnnotationNonce])
			c.recount(id)
			if len(spawn.Holds(pod, id)) == 0 {
				c.noteEnd(pod)
			}
			c.changes.Notify(id)
			c.metrics.observe(string(pod.UID), c.phase(pod))
			c.follow(ctx, id, pod)
		}
		if spawn.IsPooled(pod) {
			c.followPooled(ctx, pod)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, o any) { seen(o) },
		DeleteFunc: func(o any) {
			if late, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = late.Obj
			}
			pod, ok := o.(*corev1.Pod)
			if !ok {
				return
			}
			c.answers.stop(pod.UID)
			c.forget(pod.UID)
			c.noteEnd(pod)
			if spawn.IsPooled(pod) {
				c.pools.wake()
			}
			if id, ok := spawn.Identify(pod); ok {
				c.recount(id)
				c.changes.Notify(id)
			}
		},
	}
}

// forget drops what is remembered of a pod that is gone.
func (c *Cluster) forget(uid types.UID) {
	c.metrics.forget(string(uid))
	c.activities.forget(uid)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.complete, uid)
}

// eventHandler tells those who watch a server what Kubernetes says of its pod or its volume,
// and hears from the kubelet which pod lacks its secret. An event that comes before its pod is
// told with the pod.
func (c *Cluster) eventHandler(ctx context.Context, about func(corev1.ObjectReference) []*corev1.Pod) cache.ResourceEventHandler {
	seen := func(o any) {
		for _, pod := range about(o.(*corev1.Event).InvolvedObject) {
			if id, ok := spawn.Identify(pod); ok {
				c.recount(id)
				c.changes.Notify(id)
				c.repairSecret(ctx, pod)
			}
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) }}
}

func (c *Cluster) podOf(object corev1.ObjectReference) []*corev1.Pod {
	o, ok, err := c.pods.GetIndexer().GetByKey(object.Namespace + "/" + object.Name)
	if err != nil || !ok {
		return nil
	}
	return []*corev1.Pod{o.(*corev1.Pod)}
}

func (c *Cluster) podsOfClaim(object corev1.ObjectReference) []*corev1.Pod {
	return c.indexed(byClaim, object.Namespace+"/"+object.Name)
}

// follow does what a pod needs next. It must not block: informers call it.
func (c *Cluster) follow(ctx context.Context, id server.ID, pod *corev1.Pod) {
	c.repairSecret(ctx, pod)
	if spawn.IsStale(pod) {
		c.answers.stop(pod.UID) // or its True could be overtaken by our False
		go c.mark(ctx, pod, false)
		return
	}
	target, ok := spawn.ProbeTarget(pod)
	if !ok {
		c.answers.stop(pod.UID)
		return
	}
	if spawn.IsClaimed(pod) {
		c.followClaimed(ctx, id, pod, target)
		return
	}
	c.answers.start(ctx, pod, target, spawn.QuestionOf(id, pod))
}

// repairSecret creates, in the background, the secret of a pod whose creator was killed
// before it could (step 3 in package spawn).
func (c *Cluster) repairSecret(ctx context.Context, pod *corev1.Pod) {
	if !spawn.WaitsForSecret(pod, c.eventsOf(pod)) {
		return
	}
	go func() {
		if err := c.ensureSecret(ctx, pod); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "server's secret not created", "pod", pod.Name, "error", err)
		}
	}()
}

// answered is called by the prober when the pod's server has answered. It returns
// whether the cluster knows it now; if not it will be called again. All replicas hear the answer
// at one moment. The one that made the pod writes it down, and the others only when that one has
// not: each start would cost a call more.
func (c *Cluster) answered(ctx context.Context, pod *corev1.Pod) bool {
	if !c.madeHere(pod) && spawn.IsFirstRun(pod) {
		select {
		case <-time.After(answerPatience):
		case <-ctx.Done(): // the pod has changed: it answers, or is another's to ask
			return true
		}
	}
	return c.mark(ctx, pod, true)
}

// madeHere reports whether this replica made a pod, or finished it.
func (c *Cluster) madeHere(pod *corev1.Pod) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.complete[pod.UID]
}

// mark writes the answering condition. The UID makes it a conflict if the pod has been
// replaced meanwhile; two replicas writing the same do no harm.
func (c *Cluster) mark(ctx context.Context, pod *corev1.Pod, answering bool) bool {
	condition := spawn.Condition(pod, answering)
	condition.LastTransitionTime = metav1.NewTime(c.now())
	return c.writeCondition(ctx, pod, condition)
}
