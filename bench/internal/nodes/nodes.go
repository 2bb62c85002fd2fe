package nodes

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Agent is how the nodes call themselves to the API server.
const Agent = "simulated-kubelet"

// Port is where every pod answers.
const Port = 8888

const (
	// perNode is how many pods are bound to one node, the most that a kubelet runs by default.
	perNode = 110
	// mount is when a kubelet asks for a pod's Secrets first, and retry when it asks again for one
	// that is not there.
	mount = 100 * time.Millisecond
	retry = 500 * time.Millisecond
)

// Pace says how long what is not done would take.
type Pace struct {
	// Run is from a pod's binding until its container runs: volumes, sandbox, container.
	Run time.Duration
	// Boot is from then until the program in it answers.
	Boot time.Duration
}

// Args is the command line that makes Main keep this pace.
func (p Pace) Args(kubeconfig string) []string {
	return []string{"-kubeconfig", kubeconfig, "-run", p.Run.String(), "-boot", p.Boot.String()}
}

// Listening reports whether the pods' port is open.
func Listening() bool {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(Port)))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// Main runs until ctx is done; args are those of Args.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("nodes", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "`file` to reach the cluster with")
	n := &nodes{servers: newServers()}
	flags.DurationVar(&n.Run, "run", 0, "until a container runs")
	flags.DurationVar(&n.Boot, "boot", 0, "until the program in it answers")
	_ = flags.Parse(args) // ExitOnError
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "read kubeconfig:", err)
		return 1
	}
	config.UserAgent, config.QPS, config.ContentType = Agent, -1, "application/vnd.kubernetes.protobuf"
	if n.client, err = kubernetes.NewForConfig(config); err != nil {
		_, _ = fmt.Fprintln(stderr, "make Kubernetes client:", err)
		return 1
	}
	n.log = stderr
	if err := n.serve(ctx); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

type nodes struct {
	Pace
	client  kubernetes.Interface
	servers *servers
	log     io.Writer

	mu    sync.Mutex
	lives map[types.UID]bool // pods that are followed
	count int
}

func (n *nodes) serve(ctx context.Context) error {
	n.lives = map[types.UID]bool{}
	if err := n.servers.listen(); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(n.client, 0)
	seen := func(o any) {
		if pod, ok := o.(*corev1.Pod); ok {
			n.follow(ctx, pod)
		}
	}
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) },
	}); err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	return nil
}

// follow does what a change of a pod asks of its node.
func (n *nodes) follow(ctx context.Context, pod *corev1.Pod) {
	n.mu.Lock()
	number, known := n.count, n.lives[pod.UID]
	if !known {
		n.lives[pod.UID] = true
		n.count++
	}
	n.mu.Unlock()
	switch {
	case pod.DeletionTimestamp != nil:
		go n.end(ctx, pod)
	case !known:
		go n.begin(ctx, pod, number)
	case pod.Status.Phase == corev1.PodRunning && gated(pod) && !is(pod, corev1.PodReady):
		go n.report(ctx, pod, corev1.PodStatus{Conditions: []corev1.PodCondition{condition(corev1.PodReady)}})
	}
}

// begin is a pod's way from its creation to a program that answers.
func (n *nodes) begin(ctx context.Context, pod *corev1.Pod, number int) {
	if err := n.client.CoreV1().Pods(pod.Namespace).Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: fmt.Sprint("node-", number/perNode)},
	}, metav1.CreateOptions{}); err != nil {
		n.failed(pod, "bind", err)
		return
	}
	scheduled := time.Now()
	n.report(ctx, pod, corev1.PodStatus{
		Phase: corev1.PodPending, Conditions: []corev1.PodCondition{condition(corev1.PodScheduled), condition(corev1.PodInitialized)},
		ContainerStatuses: containers(pod, false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}),
	})
	secrets := n.secrets(ctx, pod)
	time.Sleep(time.Until(scheduled.Add(n.Run)))
	ip := address(number)
	if err := n.servers.add(ip, pod, secrets, time.Now().Add(n.Boot)); err != nil {
		n.failed(pod, "read its certificate", err)
		return
	}
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, StartTime: &metav1.Time{Time: scheduled},
		Conditions:        []corev1.PodCondition{condition(corev1.ContainersReady)},
		ContainerStatuses: containers(pod, true, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}),
	}
	if len(pod.Spec.ReadinessGates) == 0 {
		status.Conditions = append(status.Conditions, condition(corev1.PodReady))
	}
	n.report(ctx, pod, status)
}

// secrets waits for what the pod's container cannot start without, and says what is missing.
func (n *nodes) secrets(ctx context.Context, pod *corev1.Pod) map[string]*corev1.Secret {
	all := map[string]*corev1.Secret{}
	time.Sleep(mount)
	for _, name := range named(pod) {
		for ctx.Err() == nil {
			secret, err := n.client.CoreV1().Secrets(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
			if err == nil {
				all[name] = secret
				break
			}
			n.complain(ctx, pod, name)
			time.Sleep(retry)
		}
	}
	return all
}

// complain is the Event by which a kubelet says that it cannot mount a Secret, in its words.
func (n *nodes) complain(ctx context.Context, pod *corev1.Pod, secret string) {
	now := metav1.Now()
	_, err := n.client.CoreV1().Events(pod.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: pod.Namespace, GenerateName: pod.Name + "-"},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Reason:         "FailedMount", Message: fmt.Sprintf("MountVolume.SetUp failed for volume : secret %q not found", secret), Type: corev1.EventTypeWarning,
		Source: corev1.EventSource{Component: "kubelet"}, FirstTimestamp: now, LastTimestamp: now, Count: 1,
	}, metav1.CreateOptions{})
	if err != nil {
		n.failed(pod, "complain", err)
	}
}

// containers is the status of a pod's containers, all in one state.
func containers(pod *corev1.Pod, ready bool, state corev1.ContainerState) (all []corev1.ContainerStatus) {
	for _, c := range pod.Spec.Containers {
		all = append(all, corev1.ContainerStatus{Name: c.Name, Image: c.Image, Ready: ready, State: state})
	}
	return all
}

// named returns the Secrets that a pod names.
func named(pod *corev1.Pod) (names []string) {
	for _, v := range pod.Spec.Volumes {
		if v.Secret != nil {
			names = append(names, v.Secret.SecretName)
		}
	}
	for _, c := range pod.Spec.Containers {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				names = append(names, e.ValueFrom.SecretKeyRef.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// end removes a pod that is to go.
func (n *nodes) end(ctx context.Context, pod *corev1.Pod) {
	n.servers.remove(pod.Status.PodIP)
	uid := pod.UID
	_ = n.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: new(int64(0)), Preconditions: &metav1.Preconditions{UID: &uid},
	})
}

// report writes a part of a pod's status, as a kubelet does: conditions of others stay.
func (n *nodes) report(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err == nil {
		_, err = n.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		n.failed(pod, "report its status", err)
	}
}

func (n *nodes) failed(pod *corev1.Pod, doing string, err error) {
	_, _ = fmt.Fprintf(n.log, "pod %s/%s: %s: %v\n", pod.Namespace, pod.Name, doing, err)
}

// gated reports whether all readiness gates of a pod are open.
func gated(pod *corev1.Pod) bool {
	return !slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return !is(pod, g.ConditionType) })
}

func is(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == kind && c.Status == corev1.ConditionTrue
	})
}

func condition(kind corev1.PodConditionType) corev1.PodCondition {
	return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
}

// address is the i-th pod's, in a network that is local to the benchmark.
func address(i int) string {
	const first, byte256 = 2, 256
	return net.IPv4(10, 200, byte(first+i/byte256), byte(i%byte256)).String()
}
