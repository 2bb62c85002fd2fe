package memory

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// What happens to servers from outside: by the kubelet, by administrators, by programs
// that share the namespace.

// Change lets change alter a server's pod, as the kubelet would. It returns false when there
// is no pod.
func (c *Cluster) Change(id server.ID, change func(*corev1.Pod)) bool {
	defer c.changes.Notify(id)
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
	if err == nil && pod != nil {
		change(pod)
		c.serve()
	}
	return err == nil && pod != nil
}

// Put adds a pod that the spawner did not make.
func (c *Cluster) Put(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods[pod.Name] = pod.DeepCopy()
}

// Labelled is a pod that an administrator has labelled as a user's server, and that is ready.
func Labelled(name string, id server.ID, created time.Time) *corev1.Pod {
	labels, annotations := podmeta.Write(id)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID("uid-of-" + name), CreationTimestamp: metav1.NewTime(created), Labels: labels, Annotations: annotations,
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8787}}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.1.2.3", HostIP: "192.0.2.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
}

// Refuse lets every further start end with err; nil lets them work again.
func (c *Cluster) Refuse(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal = err
}

// Hold keeps pods that are deleted from going away until Release, as a server does that
// takes its time to stop.
func (c *Cluster) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Release ends Hold.
func (c *Cluster) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = false
	for _, pod := range c.pods {
		if pod.DeletionTimestamp == nil {
			continue
		}
		c.drop(pod)
		if id, ok := spawn.Identify(pod); ok {
			defer c.changes.Notify(id)
		}
	}
}

// Tell notes what a server says of its use: when it was last in use and whether a kernel works. It
// returns false when there is no pod.
func (c *Cluster) Tell(id server.ID, last time.Time, busy bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pod, err := c.find(id)
	if err != nil || pod == nil {
		return false
	}
	use := c.uses[pod.UID]
	use.Last, use.Busy, use.Tells = last, busy, true
	c.uses[pod.UID] = use
	return true
}

// Watched reports whether anyone watches the server.
func (c *Cluster) Watched(id server.ID) bool { return c.changes.Watched(id) }

// Pods returns the names of all pods, sorted.
func (c *Cluster) Pods() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.pods))
}

// Homes returns the names of all home volumes, sorted.
func (c *Cluster) Homes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.homes))
}

// Answer makes a pod a server that runs and answers.
func Answer(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodRunning
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &pod.CreationTimestamp
	}
	answering := spawn.Condition(pod, true)
	answering.LastTransitionTime = metav1.Now()
	pod.Status.Conditions = []corev1.PodCondition{
		answering, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
	}
}

// Age makes a pod that answers one that Kubernetes has ended because of its age.
func Age(pod *corev1.Pod) {
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "DeadlineExceeded"
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.ContainersReady {
			pod.Status.Conditions[i].Status = corev1.ConditionFalse
		}
	}
}

// Cull makes a pod that answers one that was idle for too long, and that Kubernetes has ended.
func Cull(pod *corev1.Pod) {
	pod.Annotations[contract.AnnotationCulled] = spawn.CullAfter(pod).String()
	pod.Spec.ActiveDeadlineSeconds = new(int64(1))
	Age(pod)
}

// Fail makes a pod one whose image cannot be fetched.
func Fail(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodPending
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "<b>manifest unknown</b>"},
	}}}
}

// RunOut makes a pod a server that was in use, was ended at its memory limit a moment ago, and
// runs again.
func RunOut(pod *corev1.Pod) {
	Answer(pod)
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "notebook", RestartCount: 1, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "OOMKilled", FinishedAt: metav1.Now(),
		}},
	}}
	pod.Status.Conditions[0] = spawn.Condition(pod, true)
}
