package kube

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/clustertest"
	"github.com/perijove/perijove/test/pki"
	"github.com/perijove/perijove/test/wait"
)

const ns = "servers"

var alice = server.ID{User: "alice"}

// ask is a user's request to start one of their servers.
func ask(id server.ID) spawn.Request {
	return spawn.Request{ID: id, Owner: access.User{Name: id.User}}
}

func settings(t testing.TB) Settings {
	t.Helper()
	s, _, _ := withProofs(t)
	return s
}

// withProofs returns also the CA of servers, and that of the services, whose certificate the
// spawner shows.
func withProofs(t testing.TB) (s Settings, servers, services *pki.CA) {
	t.Helper()
	servers, services = pki.New(t), pki.New(t)
	pair := servers.Pair()
	ca, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	files := services.Issue(contract.NameSpawner, time.Hour)
	files.CA = servers.Issue("any", time.Hour).CA
	trust, err := mtls.Client(files, "")
	if err != nil {
		t.Fatal(err)
	}
	return Settings{
		Site:         clustertest.Site(),
		Policy:       clustertest.Policy,
		Keys:         spawn.Keys{Server: bytes.Repeat([]byte("k"), 32), CA: ca, Clients: services.Pair().Chain},
		Trust:        trust,
		StartTimeout: time.Minute,
		SpawnLimit:   64,
		Namespaces:   []string{ns},
	}, servers, services
}

// newClient is a cluster that gives each object a UID, as a real one does.
func newClient(objects ...runtime.Object) *fake.Clientset { return newClientAt(time.Now, objects...) }

// newClientAt is newClient with another clock.
func newClientAt(now func() time.Time, objects ...runtime.Object) *fake.Clientset {
	client := fake.NewClientset(objects...)
	var n atomic.Int64
	client.PrependReactor("create", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		if o, ok := a.(clienttest.CreateAction).GetObject().(metav1.Object); ok {
			o.SetUID(types.UID("uid-" + string(rune('a'+n.Add(1)))))
			o.SetCreationTimestamp(metav1.NewTime(now()))
		}
		return false, nil, nil
	})
	optimistic(client)
	return client
}

// optimistic lets updates of ConfigMaps name the version that they change, and end in a Conflict
// when it is not the present one, as a real API does. The fake one forgets that.
func optimistic(client *fake.Clientset) {
	resource := corev1.SchemeGroupVersion.WithResource("configmaps")
	var mu sync.Mutex
	version := 1
	client.PrependReactor("create", "configmaps", func(a clienttest.Action) (bool, runtime.Object, error) {
		a.(clienttest.CreateAction).GetObject().(*corev1.ConfigMap).ResourceVersion = "1"
		return false, nil, nil
	})
	client.PrependReactor("update", "configmaps", func(a clienttest.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		next := a.(clienttest.UpdateAction).GetObject().(*corev1.ConfigMap).DeepCopy()
		present, err := client.Tracker().Get(resource, next.Namespace, next.Name)
		if err != nil {
			return true, nil, err
		}
		if present.(*corev1.ConfigMap).ResourceVersion != next.ResourceVersion {
			return true, nil, apierrors.NewConflict(resource.GroupResource(), next.Name, errors.New("changed meanwhile"))
		}
		version++
		next.ResourceVersion = strconv.Itoa(version)
		return true, next, client.Tracker().Update(resource, next, next.Namespace)
	})
}

// boot runs a Cluster until the test ends or stop is called: one spawner replica.
func boot(t *testing.T, client *fake.Clientset, s Settings) (c *Cluster, stop func()) {
	t.Helper()
	return bootAt(t, client, time.Now, s)
}

// bootAt is boot with another clock.
func bootAt(t *testing.T, client *fake.Clientset, now func() time.Time, s Settings) (c *Cluster, stop func()) {
	t.Helper()
	return bootWith(t, client, now, s, func(*Cluster) {})
}

// bootWith is bootAt with a change before it runs.
func bootWith(t *testing.T, client *fake.Clientset, now func() time.Time, s Settings, change func(*Cluster)) (c *Cluster, stop func()) {
	t.Helper()
	c, err := New(client, client, now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), s)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-c.Synced()
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

// failed starts alice's server and lets it fail with a status; it returns the pod's UID.
func failed(t *testing.T, c *Cluster, client *fake.Clientset, phase corev1.PodPhase, reason string) types.UID {
	t.Helper()
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	uid := onlyPod(t, client).UID
	setStatus(t, client, func(s *corev1.PodStatus) { s.Phase, s.Reason = phase, reason })
	wait.Until(t, "the failure is seen", func() bool {
		s, err := c.Get(t.Context(), alice)
		return err == nil && s.Phase == spawn.Failed
	})
	return uid
}

// watches lets a client's watches come from another fake one.
func watches(from *fake.Clientset) clienttest.WatchReactionFunc {
	return func(a clienttest.Action) (bool, watch.Interface, error) {
		w, err := from.InvokesWatch(a)
		return true, copied(w), err
	}
}

// copied is a fake's watch, which begins with the fake's own objects: informers change what they are given.
func copied(w watch.Interface) watch.Interface {
	if w == nil {
		return nil
	}
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		e.Object = e.Object.DeepCopyObject()
		return e, true
	})
}
