package kube

import (
	"errors"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/test/wait"
)

// byUID lets deletions of pods keep to the UID that they name, as a real API does.
func byUID(client *fake.Clientset) {
	client.PrependReactor("delete", "pods", func(a clienttest.Action) (bool, runtime.Object, error) {
		d := a.(clienttest.DeleteActionImpl)
		o, err := client.Tracker().Get(d.GetResource(), d.GetNamespace(), d.GetName())
		if err != nil {
			return true, nil, err
		}
		if p := d.DeleteOptions.Preconditions; p != nil && p.UID != nil && *p.UID != o.(*corev1.Pod).UID {
			return true, nil, apierrors.NewConflict(corev1.Resource("pods"), d.GetName(), errors.New("the UID in the precondition does not match"))
		}
		return false, nil, nil
	})
}

// late is a client of the same API whose deletions hold is called before.
func late(client *fake.Clientset, hold func()) *fake.Clientset {
	front := fake.NewClientset()
	front.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		if a.Matches("delete", "pods") {
			hold()
		}
		o, err := client.Invokes(a, nil)
		return true, o, err
	})
	front.PrependWatchReactor("*", watches(client))
	return front
}

// TestTwoStopsAtOnce: two administrators stop one server at two replicas. Both learn that it is gone.
func TestTwoStopsAtOnce(t *testing.T) {
	t.Parallel()
	client := newClient()
	byUID(client)
	first, _ := boot(t, client, settings(t))
	second, _ := boot(t, client, settings(t))
	if err := first.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "both see it", func() bool { return first.cached(alice) != nil && second.cached(alice) != nil })
	var both sync.WaitGroup
	for range 4 {
		for name, c := range map[string]*Cluster{"the first": first, "the second": second} {
			both.Go(func() {
				if gone, err := c.Stop(t.Context(), alice, 5*time.Second); !gone || err != nil {
					t.Errorf("%s: gone %v, %v", name, gone, err)
				}
			})
		}
	}
	both.Wait()
	if left := pods(t, client); len(left) != 0 {
		t.Errorf("%d pods are left", len(left))
	}
}

// TestLateStopSparesTheNextServer: a stop that another replica was first with, and whose request comes
// to the API when the server has been started again, ends nothing more.
func TestLateStopSparesTheNextServer(t *testing.T) {
	t.Parallel()
	client := newClient()
	byUID(client)
	arrived, release := make(chan struct{}), make(chan struct{})
	first, _ := boot(t, client, settings(t))
	second, _ := boot(t, late(client, func() { close(arrived); <-release }), settings(t))
	if err := first.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "both see it", func() bool { return first.cached(alice) != nil && second.cached(alice) != nil })
	done := make(chan error, 1)
	go func() {
		gone, err := second.Stop(t.Context(), alice, 5*time.Second)
		if err == nil && !gone {
			err = errors.New("not gone")
		}
		done <- err
	}()
	<-arrived
	if gone, err := first.Stop(t.Context(), alice, 5*time.Second); !gone || err != nil {
		t.Fatal(gone, err)
	}
	if err := first.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	next := onlyPod(t, client).UID
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the late stop: %v", err)
	}
	if got := onlyPod(t, client); got.UID != next || got.DeletionTimestamp != nil || !spawn.OwnsPod(got, alice) {
		t.Errorf("the late stop ended the server that was started after it: %v", got.ObjectMeta)
	}
	if r := first.record(spawn.Subject{Name: "alice"}); len(r.Holds) != 1 {
		wait.Until(t, "the record holds the new server", func() bool { return len(first.record(spawn.Subject{Name: "alice"}).Holds) == 1 })
	}
}
