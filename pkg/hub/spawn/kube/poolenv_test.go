package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/order"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/test/wait"
)

// poolPolicy is one profile without homes, of which so many pods wait.
func poolPolicy(t testing.TB, size int, change func(*spawn.Profile)) func() spawn.Policy {
	t.Helper()
	p := labPool(size)
	if change != nil {
		change(&p)
	}
	policy, faults := spawn.Document{Profiles: spawn.Catalog{p}}.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return func() spawn.Policy { return policy }
}

// pooledPolicy is poolPolicy where there is no test to end.
func pooledPolicy(size int) func() spawn.Policy {
	return func() spawn.Policy { return spawn.Policy{Profiles: spawn.Catalog{labPool(size)}} }
}

func labPool(size int) spawn.Profile {
	return spawn.Profile{DisplayName: "Lab", Slug: "lab", Pool: pool.Plan{Size: size},
		Override: spawn.Override{Image: "example.org/lab:1", StorageType: "none", Cmd: []string{"jupyter-lab"}, Environment: map[string]string{"TEAM": "physics"}}}
}

// yard is a cluster whose pods run a process that waits for an order, and then answers as Jupyter does.
type yard struct {
	t      testing.TB
	client *fake.Clientset
	// before sees, and may change, each call of replicas.
	before []func(clienttest.Action) clienttest.Action
	// all says that pods of servers' own run too, and not only those of pools.
	all bool

	mu     sync.Mutex
	waits  map[string]*process // by the pod's address
	silent bool                // servers of pools do not answer
	unfit  bool                // the image of new pods cannot wait
	orders int                 // that were taken
}

// process stands in for the program of the chart.
type process struct {
	key     string
	refuses int // the status for an order, 0 to take it
	order   *order.Order
}

func newYard(t testing.TB) *yard {
	y := yardOf(t, newClient())
	y.all = true
	versions(y.client)
	return y
}

// yardOf lets the pods of pools of a cluster run.
func yardOf(t testing.TB, client *fake.Clientset) *yard {
	y := &yard{t: t, client: client, waits: map[string]*process{}}
	y.client.PrependReactor("create", "secrets", func(a clienttest.Action) (bool, runtime.Object, error) {
		go y.run(a.(clienttest.CreateAction).GetObject().(*corev1.Secret).DeepCopy())
		return false, nil, nil
	})
	return y
}

// versions lets pods have versions, and patches that name one end in a Conflict when it is not the present one, as a real
// API does.
func versions(client *fake.Clientset) {
	resource := corev1.SchemeGroupVersion.WithResource("pods")
	var mu sync.Mutex
	version := 1
	bump := func(pod *corev1.Pod) {
		version++
		pod.ResourceVersion = strconv.Itoa(version)
	}
	refuse := func(name string) error {
		return apierrors.NewConflict(resource.GroupResource(), name, errors.New("changed meanwhile"))
	}
	present := func(namespace, name string) (*corev1.Pod, error) {
		o, err := client.Tracker().Get(resource, namespace, name)
		if err != nil {
			return nil, err
		}
		return o.(*corev1.Pod), nil
	}
	client.PrependWatchReactor("pods", func(a clienttest.Action) (bool, watch.Interface, error) {
		w, err := client.Tracker().Watch(resource, a.GetNamespace(), a.(clienttest.WatchActionImpl).ListOptions)
		return true, copied(w), err
	})
	client.PrependReactor("create", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		bump(a.(clienttest.CreateAction).GetObject().(*corev1.Pod))
		return false, nil, nil
	})
	client.PrependReactor("patch", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		patch := a.(clienttest.PatchAction)
		var names struct {
			Metadata struct{ UID, ResourceVersion string }
		}
		if err := json.Unmarshal(patch.GetPatch(), &names); err != nil {
			return true, nil, err
		}
		pod, err := present(patch.GetNamespace(), patch.GetName())
		if err != nil {
			return true, nil, err
		}
		if want := names.Metadata; want.UID != string(pod.UID) || want.ResourceVersion != "" && want.ResourceVersion != pod.ResourceVersion {
			return true, nil, refuse(pod.Name)
		}
		_, o, err := clienttest.ObjectReaction(client.Tracker())(a)
		if err != nil {
			return true, nil, err
		}
		pod = o.(*corev1.Pod).DeepCopy()
		bump(pod)
		return true, pod, client.Tracker().Update(resource, pod, pod.Namespace)
	})
	client.PrependReactor("delete", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		del := a.(clienttest.DeleteActionImpl)
		pod, err := present(del.GetNamespace(), del.GetName())
		if err != nil {
			return true, nil, err
		}
		if want := del.DeleteOptions.Preconditions; want != nil && (want.UID != nil && *want.UID != pod.UID || want.ResourceVersion != nil && *want.ResourceVersion != pod.ResourceVersion) {
			return true, nil, refuse(pod.Name)
		}
		return false, nil, nil
	})
}

// run lets the pod of a secret run, once the secret is there: the kubelet needs it.
func (y *yard) run(secret *corev1.Secret) {
	key, ctx := secret.StringData["order"], context.Background()
	if key == "" && !y.all {
		return
	}
	name := secret.OwnerReferences[0].Name
	pod, err := y.client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return
	}
	y.mu.Lock()
	address := fmt.Sprintf("10.1.0.%d", len(y.waits)+1)
	y.waits[address] = &process{key: key}
	unfit := y.unfit
	y.mu.Unlock()
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, HostIP: "192.168.0.1", StartTime: new(metav1.Now()),
		ContainerStatuses: []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}},
		Conditions:        []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
	}
	if unfit && key != "" {
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "notebook", RestartCount: 1, LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: order.ExitUnfit, Message: "perijove: this image cannot wait: lab reads HOME while it is imported"},
		}}
	}
	if _, err := y.client.CoreV1().Pods(ns).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil && !apierrors.IsNotFound(err) {
		y.t.Error(err)
	}
}

// replica boots a spawner whose calls to pods come to the processes here.
func (y *yard) replica(t *testing.T, s Settings) (*Cluster, func()) {
	t.Helper()
	return bootWith(t, y.front(), time.Now, s, y.lead(t))
}

// see lets f see, and change, each call of replicas from now on.
func (y *yard) see(f func(clienttest.Action) clienttest.Action) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.before = append(slices.Clone(y.before), f)
}

// front is a client of one replica. What it asks goes through y.before: a fake cluster answers one call after the other, and
// waits in its reactors for nobody.
func (y *yard) front() *fake.Clientset {
	front := fake.NewClientset()
	front.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		y.mu.Lock()
		before := y.before
		y.mu.Unlock()
		for _, f := range before {
			a = f(a)
		}
		o, err := y.client.Invokes(a, nil)
		return true, o, err
	})
	front.PrependWatchReactor("*", watches(y.client))
	return front
}

// lead takes a spawner's calls to pods to the processes here.
func (y *yard) lead(t testing.TB) func(*Cluster) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(y.answer))
	t.Cleanup(srv.Close)
	return func(c *Cluster) {
		c.answers.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, srv.Listener.Addr().String())
		}
	}
}

// answer is what a pod's process says.
func (y *yard) answer(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	y.mu.Lock()
	defer y.mu.Unlock()
	p := y.waits[host]
	switch {
	case p == nil:
		w.WriteHeader(http.StatusBadGateway)
	case p.order != nil && y.silent:
		w.WriteHeader(http.StatusServiceUnavailable)
	case p.key == "" || p.order != nil: // Jupyter
		w.WriteHeader(http.StatusOK)
	case r.Header.Get("Authorization") != "Bearer "+p.key:
		w.Header().Set("Server", "perijove-waiting")
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/perijove/ready":
		w.Header().Set("Server", "perijove-waiting")
		w.WriteHeader(http.StatusNoContent)
	case r.URL.Path == "/perijove/order" && r.Method == http.MethodPost:
		w.Header().Set("Server", "perijove-waiting")
		if p.refuses != 0 {
			w.WriteHeader(p.refuses)
			return
		}
		var o order.Order
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		p.order = &o
		y.orders++
		w.WriteHeader(http.StatusAccepted)
	default:
		w.Header().Set("Server", "perijove-waiting")
		w.WriteHeader(http.StatusNotFound)
	}
}

// of returns the process of a pod.
func (y *yard) of(pod *corev1.Pod) *process {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.waits[pod.Status.PodIP]
}

// by returns the names of pods by what they are at, and those of servers that have a pod of their own.
func (y *yard) by(c *Cluster) (idle, used, cold []string) {
	y.t.Helper()
	l, err := y.client.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		y.t.Fatal(err)
	}
	for _, pod := range l.Items {
		switch {
		case !spawn.IsPooled(&pod):
			cold = append(cold, pod.Name)
		case c.poolPod(&pod).State == pool.Idle:
			idle = append(idle, pod.Name)
		case c.poolPod(&pod).State == pool.Used:
			used = append(used, pod.Name)
		}
	}
	return idle, used, cold
}

// fill waits until so many pods wait, and every replica knows it.
func (y *yard) fill(t *testing.T, size int, replicas ...*Cluster) {
	t.Helper()
	wait.Until(t, "the pool is full", func() bool {
		for _, c := range replicas {
			n := 0
			for _, pod := range c.pooled() {
				if c.poolPod(pod).State == pool.Idle {
					n++
				}
			}
			if n != size {
				return false
			}
		}
		return true
	})
}

// podOf is the pod of a server, which must be one.
func (y *yard) podOf(t *testing.T, user string) *corev1.Pod {
	t.Helper()
	var found []corev1.Pod
	for _, pod := range pods(t, y.client) {
		if pod.Annotations[contract.LabelUsername] == user {
			found = append(found, pod)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d pods", user, len(found))
	}
	return &found[0]
}
