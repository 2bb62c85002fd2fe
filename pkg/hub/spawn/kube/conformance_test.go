package kube

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/clustertest"
)

// TestConformance holds the cluster to what the hub's pages expect, over an API in memory.
func TestConformance(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, func(t *testing.T) *clustertest.Env {
		clock := clustertest.NewClock()
		api := &api{t: t, client: newClientAt(clock.Now)}
		api.client.PrependReactor("delete", "pods", api.hold)
		api.client.PrependReactor("create", "pods", api.refuse)
		s := settings(t)
		s.StartTimeout, s.SpawnLimit = clustertest.StartTimeout, clustertest.SpawnLimit
		c, _ := bootAt(t, api.client, clock.Now, s)
		return &clustertest.Env{
			Cluster: c, Clock: clock, Change: api.change, Put: api.put,
			Refuse: api.refused.Store, Hold: func() { api.held.Store(true) }, Release: api.release, Pods: api.pods, Homes: api.homes,
		}
	})
}

// api is an API server in memory and what happens there from outside.
type api struct {
	t      *testing.T
	client *fake.Clientset
	held   atomic.Bool
	// refused says that no pod can be made.
	refused atomic.Bool
}

var podsResource = corev1.SchemeGroupVersion.WithResource("pods")

// hold lets a deleted pod terminate and not go, as a real API does for the grace period.
func (a *api) hold(action clienttest.Action) (bool, runtime.Object, error) {
	if !a.held.Load() {
		return false, nil, nil
	}
	object, err := a.client.Tracker().Get(podsResource, ns, action.(clienttest.DeleteAction).GetName())
	if err != nil {
		return true, nil, err
	}
	pod := object.(*corev1.Pod).DeepCopy()
	now := metav1.Now()
	pod.DeletionTimestamp = &now
	return true, nil, a.client.Tracker().Update(podsResource, pod, ns)
}

func (a *api) refuse(clienttest.Action) (bool, runtime.Object, error) {
	return a.refused.Load(), nil, apierrors.NewForbidden(podsResource.GroupResource(), "", errors.New("exceeded quota: all"))
}

func (a *api) release() {
	a.t.Helper()
	a.held.Store(false)
	for _, pod := range pods(a.t, a.client) {
		if pod.DeletionTimestamp == nil {
			continue
		}
		if err := a.client.Tracker().Delete(podsResource, ns, pod.Name); err != nil {
			a.t.Error(err)
		}
	}
}

func (a *api) change(id server.ID, change func(*corev1.Pod)) {
	a.t.Helper()
	for _, pod := range pods(a.t, a.client) {
		if got, ok := spawn.Identify(&pod); !ok || got != id {
			continue
		}
		change(&pod)
		if _, err := a.client.CoreV1().Pods(ns).UpdateStatus(a.t.Context(), &pod, metav1.UpdateOptions{}); err != nil {
			a.t.Fatal(err)
		}
		return
	}
	a.t.Errorf("%s has no pod to change", id)
}

func (a *api) put(pod *corev1.Pod) {
	a.t.Helper()
	if err := a.client.Tracker().Add(pod); err != nil {
		a.t.Fatal(err)
	}
}

func (a *api) pods() (names []string) {
	a.t.Helper()
	for _, pod := range pods(a.t, a.client) {
		names = append(names, pod.Name)
	}
	slices.Sort(names)
	return names
}

func (a *api) homes() (names []string) {
	a.t.Helper()
	l, err := a.client.CoreV1().PersistentVolumeClaims(ns).List(a.t.Context(), metav1.ListOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, claim := range l.Items {
		names = append(names, claim.Name)
	}
	slices.Sort(names)
	return names
}
