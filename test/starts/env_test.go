package starts

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/quota"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/kube"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/test/pki"
)

const nodeName = "kwok"

// world is one namespace of the API with the nodes below it, and what has happened in it.
type world struct {
	t      *testing.T
	client kubernetes.Interface // of the test itself: unlimited and not counted
	ns     string

	mu    sync.Mutex
	made  []*corev1.Pod             // in the order of their making
	asked map[string]time.Time      // by user: when the start that waited was asked for
	calls map[string]map[string]int // by replica: calls of the API by method and resource
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	client, err := kubernetes.NewForConfig(api.Config())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: client, ns: strings.ReplaceAll(strings.ToLower(t.Name()), "_", "-"), asked: map[string]time.Time{}, calls: map[string]map[string]int{}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName}}
	if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	w.follow()
	return w
}

// follow notes which pods are made, and when starts were asked for that waited. It binds each pod to
// the node: homes are volumes that nobody provides here, for which a scheduler would wait.
func (w *world) follow() {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, 0, informers.WithNamespace(w.ns))
	handle := func(i cache.SharedIndexInformer, seen func(any)) {
		if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: func(_, o any) { seen(o) }}); err != nil {
			w.t.Fatal(err)
		}
	}
	known, all := map[types.UID]bool{}, sync.WaitGroup{}
	handle(factory.Core().V1().Pods().Informer(), func(o any) {
		pod := o.(*corev1.Pod)
		if known[pod.UID] {
			return
		}
		known[pod.UID] = true
		w.mu.Lock()
		w.made = append(w.made, pod)
		w.mu.Unlock()
		all.Go(func() { w.bind(ctx, pod) })
	})
	handle(factory.Core().V1().ConfigMaps().Informer(), func(o any) {
		if r, ok := record(o.(*corev1.ConfigMap)); ok && r.Waits("") {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked[r.Subject] = r.Waiting[""].Asked
		}
	})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	w.t.Cleanup(func() {
		cancel()
		factory.Shutdown()
		all.Wait()
	})
}

func (w *world) bind(ctx context.Context, pod *corev1.Pod) {
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: w.ns, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}}
	if err := w.client.CoreV1().Pods(w.ns).Bind(ctx, binding, metav1.CreateOptions{}); err != nil && ctx.Err() == nil {
		w.t.Logf("bind %s: %v", pod.Name, err)
	}
}

// record reads the record in a ConfigMap; false for one that is another's.
func record(m *corev1.ConfigMap) (quota.Record, bool) {
	text := []byte(m.Data["usage.json"])
	s, ok := spawn.RecordSubject(m.Name, text)
	if !ok {
		return quota.Record{}, false
	}
	r, err := quota.Parse(text, s.Name)
	return r, err == nil
}

// settings are those of an installation whose quotas and profiles are policy's.
func (w *world) settings(places int, document spawn.Document) kube.Settings {
	w.t.Helper()
	policy, faults := document.Policy()
	if len(faults) > 0 {
		w.t.Fatal(faults)
	}
	servers, services := pki.New(w.t), pki.New(w.t)
	pair := servers.Pair()
	ca, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	files := services.Issue(contract.NameSpawner, time.Hour)
	files.CA = servers.Issue("any", time.Hour).CA
	trust, err := mtls.Client(files, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return kube.Settings{
		Site: spawn.Site{Namespace: w.ns, JupyterConfigMap: "perijove-jupyter"}, Policy: func() spawn.Policy { return policy },
		Keys: spawn.Keys{Server: bytes.Repeat([]byte("k"), 32), CA: ca, Clients: services.Pair().Chain}, Trust: trust,
		StartTimeout: time.Minute, SpawnLimit: places, Namespaces: []string{w.ns},
	}
}

// replica runs a spawner's view of the cluster until the test ends. All its calls but watches wait
// for budget, and are counted under name.
func (w *world) replica(name string, budget flowcontrol.RateLimiter, s kube.Settings) *kube.Cluster {
	w.t.Helper()
	config := api.Config()
	config.RateLimiter = budget
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &counter{w, name, next} })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := kube.New(client, client, time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), s)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Synced()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	return c
}

// counter counts what a client asks of the API.
type counter struct {
	w    *world
	name string
	next http.RoundTripper
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if !r.URL.Query().Has("watch") {
		c.w.count(c.name, r.Method+" "+kindOf(r.URL.Path))
	}
	return c.next.RoundTrip(r)
}

// kindOf returns the resource in a path of the API, with its subresource.
func kindOf(path string) string {
	_, kind, _ := strings.Cut(path, "/namespaces/")
	_, kind, _ = strings.Cut(kind, "/")
	parts := strings.Split(kind, "/")
	if len(parts) == 3 {
		return parts[0] + "/" + parts[2]
	}
	return parts[0]
}

func (w *world) count(replica, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.calls[replica] == nil {
		w.calls[replica] = map[string]int{}
	}
	w.calls[replica][what]++
}

// spent is how many calls all replicas have made since they were counted last, and of which kinds.
func (w *world) spent() (n int, kinds string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]int{}
	for _, calls := range w.calls {
		for what, times := range calls {
			n += times
			all[what] += times
		}
	}
	w.calls = map[string]map[string]int{}
	return n, fmt.Sprint(all)
}

// callsSoFar is how many calls all replicas have made.
func (w *world) callsSoFar() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, calls := range w.calls {
		for _, times := range calls {
			n += times
		}
	}
	return n
}

// forget forgets what has happened.
func (w *world) forget() {
	w.spent()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made, w.asked = nil, map[string]time.Time{}
}

func (w *world) pods() []*corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*corev1.Pod(nil), w.made...)
}

// waited counts the users whose starts had to wait.
func (w *world) waited(users []string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, user := range users {
		if !w.asked[user].IsZero() {
			n++
		}
	}
	return n
}

// answering counts the users whose servers answer, as c knows it.
func (w *world) answering(c *kube.Cluster, users []string) (n int) {
	for _, user := range users {
		if s, err := c.Get(w.t.Context(), id(user)); err == nil && s.Phase == spawn.Answering {
			n++
		}
	}
	return n
}
