package kube

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

const ns = "servers"

var alice = server.ID{User: "alice"}

func config() Config {
	return Config{
		Site:         spawn.Site{Namespace: ns, JupyterConfigMap: "perijove-jupyter"},
		Profile:      spawn.Profile{DisplayName: "Lab", Slug: "lab", Override: spawn.Override{Image: "example.org/lab:1"}},
		MasterKey:    bytes.Repeat([]byte("k"), 32),
		StartTimeout: time.Minute,
		SpawnLimit:   64,
	}
}

// newClient is a cluster that gives each object a UID, as a real one does.
func newClient(objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	var n atomic.Int64
	client.PrependReactor("create", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		if o, ok := a.(clienttest.CreateAction).GetObject().(metav1.Object); ok {
			o.SetUID(types.UID("uid-" + string(rune('a'+n.Add(1)))))
			o.SetCreationTimestamp(metav1.Now())
		}
		return false, nil, nil
	})
	return client
}

// boot runs a Cluster until the test ends or stop is called: one spawner replica.
func boot(t *testing.T, client *fake.Clientset, cfg Config) (c *Cluster, stop func()) {
	t.Helper()
	c, err := New(client, cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	synced, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- c.Run(ctx, func() { close(synced) }) }()
	<-synced
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(stop)
	return c, stop
}

func pods(t *testing.T, client *fake.Clientset) []corev1.Pod {
	t.Helper()
	l, err := client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

func onlyPod(t *testing.T, client *fake.Clientset) *corev1.Pod {
	t.Helper()
	all := pods(t, client)
	if len(all) != 1 {
		t.Fatalf("%d pods", len(all))
	}
	return &all[0]
}

func setStatus(t *testing.T, client *fake.Clientset, change func(*corev1.PodStatus)) {
	t.Helper()
	pod := onlyPod(t, client)
	change(&pod.Status)
	if _, err := client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestR5_KilledAfterEachWrite kills the spawner after its first, second, … write and
// lets another one take over, by a new request or by what the kubelet says. Whatever
// the moment: one volume, one pod, one secret that belongs to it.
func TestR5_KilledAfterEachWrite(t *testing.T) {
	for _, takeover := range []string{"request", "kubelet"} {
		for crash := 1; ; crash++ {
			client := newClient()
			ctx, kill := context.WithCancel(t.Context())
			writes := 0
			dead := errors.New("spawner was killed")
			client.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
				if a.GetVerb() == "create" && ctx.Err() == nil {
					if writes++; writes > crash {
						kill()
					}
				}
				if ctx.Err() != nil && t.Context().Err() == nil && writes > crash {
					return true, nil, dead
				}
				return false, nil, nil
			})
			first, stop := boot(t, client, config())
			err := first.Start(ctx, alice)
			stop()
			if writes <= crash { // nothing was left to kill
				if err != nil {
					t.Errorf("%s: uninterrupted start: %v", takeover, err)
				}
				kill()
				break
			}
			kill()
			client.ReactionChain = client.ReactionChain[1:] // the API is fine; the first spawner is gone
			second, _ := boot(t, client, config())
			if takeover == "request" || len(pods(t, client)) == 0 {
				if err := second.Start(t.Context(), alice); err != nil {
					t.Errorf("%s, crash after write %d: second start: %v", takeover, crash, err)
				}
			} else {
				name := onlyPod(t, client).Spec.Containers[0].Env[4].ValueFrom.SecretKeyRef.Name
				setStatus(t, client, func(s *corev1.PodStatus) {
					s.Phase = corev1.PodPending
					s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{
						Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "` + name + `" not found`},
					}}}
				})
			}
			checkWhole(t, client)
		}
	}
}

// checkWhole waits until there is exactly what one server needs, and no more.
func checkWhole(t *testing.T, client *fake.Clientset) {
	t.Helper()
	ctx := t.Context()
	var secrets *corev1.SecretList
	wait.Until(t, "the pod's secret", func() bool {
		var err error
		secrets, err = client.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		return err == nil && len(secrets.Items) > 0
	})
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := onlyPod(t, client)
	if len(claims.Items) != 1 || len(secrets.Items) != 1 {
		t.Fatalf("%d volumes, %d secrets", len(claims.Items), len(secrets.Items))
	}
	s := secrets.Items[0]
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != pod.UID {
		t.Errorf("the secret is not the pod's: %v", s.OwnerReferences)
	}
	if want := contract.ServerSecret(config().MasterKey, ns, pod.Name, pod.Annotations[contract.AnnotationNonce]); s.StringData["secret"] != want {
		t.Error("the secret is not what the xds-server will derive")
	}
}

// TestD7_ManyStartsMakeOneServer: a hundred requests, two replicas, one server (D7).
func TestD7_ManyStartsMakeOneServer(t *testing.T) {
	client := newClient()
	a, _ := boot(t, client, config())
	b, _ := boot(t, client, config())
	failed := make(chan error, 100)
	for i := range 100 {
		go func() { failed <- []*Cluster{a, b}[i%2].Start(t.Context(), alice) }()
	}
	for range 100 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	checkWhole(t, client)
}

func TestD7_SpawnLimit(t *testing.T) {
	client := newClient()
	cfg := config()
	cfg.SpawnLimit = 3
	c, _ := boot(t, client, cfg)
	results := make(chan error, 20)
	for i := range 20 {
		go func() { results <- c.Start(t.Context(), server.ID{User: "u" + string(rune('a'+i))}) }()
	}
	busy := 0
	for range 20 {
		var p *spawn.Problem
		if err := <-results; errors.As(err, &p) && p.Message == spawn.MsgBusy {
			busy++
		} else if err != nil {
			t.Error(err)
		}
	}
	if busy != 17 || len(pods(t, client)) != 3 {
		t.Errorf("%d were told to wait, %d pods", busy, len(pods(t, client)))
	}
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 3 {
		t.Errorf("refused starts left volumes behind: %d, %v", len(claims.Items), err)
	}
}

// TestForeignObjectsAreLeftAlone: a pod or volume of the right name that the spawner did
// not make is neither used nor deleted.
func TestForeignObjectsAreLeftAlone(t *testing.T) {
	foreignPod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "jupyter-alice", UID: "theirs"}}
	foreignClaim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "claim-alice"}}
	for name, object := range map[string]runtime.Object{"pod": foreignPod, "volume": foreignClaim} {
		client := newClient(object)
		c, _ := boot(t, client, config())
		var p *spawn.Problem
		if err := c.Start(t.Context(), alice); !errors.As(err, &p) || p.Message != spawn.MsgConflict {
			t.Errorf("foreign %s: start says %v", name, err)
		}
		if _, err := c.Stop(t.Context(), alice, time.Second); name == "pod" && !errors.As(err, &p) {
			t.Errorf("foreign %s: stop says %v", name, err)
		}
		for _, a := range client.Actions() {
			if a.GetVerb() == "delete" || a.GetVerb() == "patch" {
				t.Errorf("foreign %s was touched: %v", name, a)
			}
		}
	}
}

// TestStopNamesThePodByUID: the deletion carries the UID, so that it cannot hit a pod
// that was started meanwhile; volumes are never deleted.
func TestStopNamesThePodByUID(t *testing.T) {
	client := newClient()
	c, _ := boot(t, client, config())
	if err := c.Start(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	uid := onlyPod(t, client).UID
	if gone, err := c.Stop(t.Context(), alice, time.Second); err != nil || !gone {
		t.Fatal(gone, err)
	}
	if gone, err := c.Stop(t.Context(), alice, time.Second); err != nil || !gone {
		t.Errorf("stopping what is stopped: %v, %v", gone, err)
	}
	deletions := 0
	for _, a := range client.Actions() {
		d, ok := a.(clienttest.DeleteActionImpl)
		if !ok {
			continue
		}
		deletions++
		if p := d.DeleteOptions.Preconditions; a.GetResource().Resource != "pods" || p == nil || *p.UID != uid {
			t.Errorf("deleted %v with %v", a.GetResource(), d.DeleteOptions)
		}
	}
	if deletions != 1 {
		t.Errorf("%d deletions", deletions)
	}
}

// TestTryAgain replaces a pod that failed; the volume stays the same one.
func TestTryAgain(t *testing.T) {
	client := newClient()
	c, _ := boot(t, client, config())
	if err := c.Start(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	first := onlyPod(t, client).UID
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.Reason = corev1.PodFailed, "Evicted" })
	wait.Until(t, "failure is seen", func() bool {
		s, err := c.Get(t.Context(), alice)
		return err == nil && s.Phase == spawn.Failed
	})
	if err := c.Start(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if second := onlyPod(t, client).UID; second == first {
		t.Error("the failed pod was kept")
	}
	if got := testutil.CollectAndCount(c.metrics.spawns); got != 1 {
		t.Errorf("%d spawn results, want one failure", got)
	}
}

// TestStartWaitsForTheOldPod: while the old pod terminates, a start waits and then goes
// on; if it takes too long it says so.
func TestStartWaitsForTheOldPod(t *testing.T) {
	client := newClient()
	c, _ := boot(t, client, config())
	if err := c.Start(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	old := onlyPod(t, client)
	now := metav1.Now()
	old.DeletionTimestamp, old.Finalizers = &now, []string{"test/hold"}
	if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), old, ns); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- c.Start(t.Context(), alice) }()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var p *spawn.Problem
	if err := c.Start(short, alice); !errors.As(err, &p) || p.Message != spawn.MsgStopWait {
		t.Errorf("a start that cannot wait any longer says %v", err)
	}
	if err := client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), ns, old.Name); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if onlyPod(t, client).UID == old.UID {
		t.Error("no new pod")
	}
}

// TestRefusals: what the API says no to becomes words, and nothing is left over that
// the next start would trip on.
func TestRefusals(t *testing.T) {
	gr := schema.GroupResource{Resource: "pods"}
	for want, refusal := range map[spawn.Message]error{
		spawn.MsgQuota:       apierrors.NewForbidden(gr, "x", errors.New("exceeded quota: servers, requested: pods=1")),
		spawn.MsgRefused:     apierrors.NewForbidden(gr, "x", errors.New("maximum memory usage per Container is 1Gi")),
		spawn.MsgUnavailable: apierrors.NewInternalError(errors.New("etcd is away")),
	} {
		client := newClient()
		client.PrependReactor("create", "pods", func(clienttest.Action) (bool, runtime.Object, error) { return true, nil, refusal })
		c, _ := boot(t, client, config())
		err := c.Start(t.Context(), alice)
		var p *spawn.Problem
		if !errors.As(err, &p) || p.Message != want {
			t.Errorf("%v became %v, want %s", refusal, err, want)
		}
		client.ReactionChain = client.ReactionChain[1:]
		if err := c.Start(t.Context(), alice); err != nil {
			t.Errorf("the next start: %v", err)
		}
		checkWhole(t, client)
	}
}

// jupyter is a server in place of a pod's: it answers as told, on 127.0.0.1.
type jupyter struct {
	status atomic.Int64
	asked  atomic.Int64
	path   atomic.Value
}

// TestAnsweringIsNoticed probes the pod from the moment it has an address, accepts
// nothing but 200, and takes its word back when the container is replaced.
func TestAnsweringIsNoticed(t *testing.T) {
	j := &jupyter{}
	j.status.Store(http.StatusServiceUnavailable)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		j.asked.Add(1)
		j.path.Store(r.URL.EscapedPath())
		w.Header().Set("Location", "http://169.254.169.254/")
		w.WriteHeader(int(j.status.Load()))
	}))
	defer srv.Close()
	client := newClient()
	c, _ := boot(t, client, config())
	// The pod's address leads to the test server: pods' own addresses do not exist here.
	c.answers.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
		if addr != "10.9.8.7:8888" {
			t.Errorf("asked %s", addr)
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(srv.URL, "http://"))
	}}
	id := server.ID{User: "张三", Name: "demo"}
	if err := c.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.PodIP, s.HostIP = corev1.PodRunning, "10.9.8.7", "192.168.0.1" })
	answering := func() bool { return spawn.IsAnswering(onlyPod(t, client)) }
	for _, no := range []int{http.StatusServiceUnavailable, http.StatusFound, http.StatusForbidden} {
		before := j.asked.Load()
		j.status.Store(int64(no))
		wait.Until(t, "it is asked again", func() bool { return j.asked.Load() > before+2 })
		if answering() {
			t.Fatalf("%d was taken for an answer", no)
		}
	}
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering", answering)
	if got, want := j.path.Load(), id.Prefix()+"api"; got != want {
		t.Errorf("asked for %v, want %s", got, want)
	}
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue})
	})
	wait.Until(t, "one spawn is counted", func() bool { return testutil.CollectAndCount(c.metrics.spawns) == 1 })
	if c.running() != 1 {
		t.Errorf("%v running servers", c.running())
	}

	j.status.Store(http.StatusServiceUnavailable)
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", RestartCount: 1}}
	})
	wait.Until(t, "the condition is taken back", func() bool {
		for _, cond := range onlyPod(t, client).Status.Conditions {
			if cond.Type == contract.ConditionAnswering {
				return cond.Status == corev1.ConditionFalse
			}
		}
		return false
	})
	j.status.Store(http.StatusOK)
	wait.Until(t, "answering after the restart", answering)
}

// TestGetSeesWhatAnotherReplicaMade: the cache does not know the pod, the API does.
func TestGetSeesWhatAnotherReplicaMade(t *testing.T) {
	client := newClient()
	c, stop := boot(t, client, config())
	stop() // its cache no longer follows
	other, _ := boot(t, client, config())
	if err := other.Start(t.Context(), alice); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Get(t.Context(), alice); err != nil || s.Phase != spawn.Pending {
		t.Errorf("%v, %v", s, err)
	}
}
