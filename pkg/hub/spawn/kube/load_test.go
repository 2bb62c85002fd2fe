package kube

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// calls counts what a client asked of the API.
func calls(client *fake.Clientset, verb, resource string) (n int) {
	for _, a := range client.Actions() {
		if a.Matches(verb, resource) {
			n++
		}
	}
	return n
}

// TestD7_PagesCostNoCallOfTheAPI: however often pages ask for servers that do not run.
func TestD7_PagesCostNoCallOfTheAPI(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	for i := range 500 {
		id := server.ID{User: "mallory", Name: fmt.Sprint(i % 50)}
		if s, err := c.Get(t.Context(), id); err != nil || s.Phase != spawn.Stopped {
			t.Fatalf("%s: %v, %v", id, s, err)
		}
	}
	if n := calls(client, "get", "pods"); n != 0 {
		t.Errorf("%d questions", n)
	}
	// Negative control: the count sees questions.
	if _, err := c.Stop(t.Context(), alice, time.Second); err != nil || calls(client, "get", "pods") == 0 {
		t.Errorf("a stop that the cache knows nothing of asked %d times, %v", calls(client, "get", "pods"), err)
	}
}

// TestGetAfterAStartHere: the cache is behind, and many ask at once.
func TestGetAfterAStartHere(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, stop := boot(t, client, settings(t))
	stop() // its cache no longer follows
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	before := calls(client, "get", "pods")
	client.PrependReactor("get", "pods", func(clienttest.Action) (bool, runtime.Object, error) {
		<-release
		return false, nil, nil
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if s, err := c.Get(t.Context(), alice); err != nil || s.Phase != spawn.Pending {
				t.Errorf("%v, %v", s, err)
			}
		})
	}
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	all.Wait()
	// A client in memory holds a lock while it waits, so later questions cannot join them all.
	if n := calls(client, "get", "pods") - before; n > 10 {
		t.Errorf("50 who ask at once cost %d questions", n)
	}
}

// TestD7_OneUserDoesNotDelayAnothersStart: mallory asks for starts that are refused, under ever
// new names, and reloads pages; alice's start takes its usual time with a client that may
// make 20 calls a second.
func TestD7_OneUserDoesNotDelayAnothersStart(t *testing.T) {
	t.Parallel()
	var called atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called.Add(1)
		quotaOfMallory(w, r)
	}))
	defer srv.Close()
	limited, err := kubernetes.NewForConfig(&rest.Config{Host: srv.URL, QPS: 20, Burst: 20, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	s := settings(t)
	s.SpawnLimit = 10000
	c, err := New(limited, limited, time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), s)
	if err != nil {
		t.Fatal(err)
	}
	var flood sync.WaitGroup
	ctx := t.Context()
	for i := range 300 {
		flood.Go(func() { _ = c.Start(ctx, ask(server.ID{User: "mallory", Name: fmt.Sprint(i)})) })
		flood.Go(func() { _, _ = c.Get(ctx, server.ID{User: "mallory", Name: fmt.Sprint(i)}) })
		flood.Go(func() { _, _ = c.Stop(ctx, server.ID{User: "mallory", Name: fmt.Sprint(i)}, time.Second) })
	}
	wait.Until(t, "the burst of the client is used up", func() bool { return called.Load() > 25 })
	began := time.Now()
	if err := c.Start(ctx, ask(alice)); err != nil {
		t.Error(err)
	}
	// Nothing fills the cache here, so cacheWait is part of it.
	if took := time.Since(began) - cacheWait; took > 2*time.Second {
		t.Errorf("alice's start took %v", took)
	}
}

// quotaOfMallory is an API that has nothing, lets all be created, and refuses mallory's pods.
func quotaOfMallory(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, reason metav1.StatusReason) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: reason, Code: int32(code), Message: "exceeded quota"})
	}
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		refuse(http.StatusNotFound, metav1.StatusReasonNotFound)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var pod corev1.Pod
	if json.Unmarshal(body, &pod) == nil && pod.Kind == "Pod" && pod.Annotations["hub.jupyter.org/username"] == "mallory" {
		refuse(http.StatusForbidden, metav1.StatusReasonForbidden)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

// TestD7_StopsDeleteOnce: pressing Stop again while the server stops costs no deletion.
func TestD7_StopsDeleteOnce(t *testing.T) {
	t.Parallel()
	api := &api{t: t, client: newClient()}
	api.client.PrependReactor("delete", "pods", api.hold)
	c, _ := boot(t, api.client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	api.held.Store(true)
	for range 5 {
		if gone, err := c.Stop(t.Context(), alice, 50*time.Millisecond); gone || err != nil {
			t.Errorf("%v, %v", gone, err)
		}
		wait.Until(t, "the cache shows that it stops", func() bool { pod := c.cached(alice); return pod.DeletionTimestamp != nil })
	}
	if n := calls(api.client, "delete", "pods"); n != 1 {
		t.Errorf("%d deletions", n)
	}
}

// TestD7_StartsOfAStartingServerWriteOnce: each reload of the form's answer is a start.
func TestD7_StartsOfAStartingServerWriteOnce(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	for range 20 {
		if err := c.Start(t.Context(), ask(alice)); err != nil {
			t.Fatal(err)
		}
	}
	for _, resource := range []string{"pods", "secrets", "persistentvolumeclaims"} {
		if n := calls(client, "create", resource); n != 1 {
			t.Errorf("%d creations of %s", n, resource)
		}
	}
}

// TestLostNode: a pod whose node is away is deleted without waiting for the node.
func TestLostNode(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	first := failed(t, c, client, corev1.PodUnknown, "NodeLost")
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	if onlyPod(t, client).UID == first {
		t.Error("the pod was not replaced")
	}
	for _, a := range client.Actions() {
		if d, ok := a.(clienttest.DeleteActionImpl); ok && (d.DeleteOptions.GracePeriodSeconds == nil || *d.DeleteOptions.GracePeriodSeconds != 0) {
			t.Errorf("deleted with %v", d.DeleteOptions)
		}
	}
}

// TestVolumeIsNamed: what the cluster says of the home's claim reaches those who watch.
func TestVolumeIsNamed(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	changed, stop := c.Watch(alice)
	defer stop()
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: ns, Name: "x"},
		InvolvedObject: corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: ns, Name: "home-alice"},
		Reason:         "ProvisioningFailed", Message: "no such class", Type: corev1.EventTypeWarning, LastTimestamp: metav1.Now(),
	}
	if _, err := client.CoreV1().Events(ns).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for { // other changes of the server may come first
		wait.Closed(t, "a change after which the volume is named", changed)
		s, err := c.Get(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		if s.Now().Message == spawn.MsgVolume && s.Now().Detail == "no such class" {
			return
		}
	}
}

// BenchmarkAdmit is what a start costs beside many servers that run.
func BenchmarkAdmit(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			client, s := newClient(), settings(b)
			c, err := New(client, client, time.Now, prometheus.NewRegistry(), slog.New(slog.DiscardHandler), s)
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				pod := spawn.Pod(s.Site, spawn.Spec{ID: server.ID{User: fmt.Sprint("u", i)}, Nonce: "abcdefghijklmnopqrstuvwxyz"})
				pod.UID = types.UID(fmt.Sprint(i))
				memory.Answer(pod)
				if err := c.pods.GetStore().Add(pod); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				c.admit(alice)
				c.release(alice)
			}
		})
	}
}
