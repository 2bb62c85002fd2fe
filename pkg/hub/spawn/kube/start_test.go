package kube

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// TestD7_ManyStartsMakeOneServer: a hundred requests, two replicas, one server (D7).
func TestD7_ManyStartsMakeOneServer(t *testing.T) {
	t.Parallel()
	client := newClient()
	a, _ := boot(t, client, settings(t))
	b, _ := boot(t, client, settings(t))
	failed := make(chan error, 100)
	for i := range 100 {
		go func() { failed <- []*Cluster{a, b}[i%2].Start(t.Context(), ask(alice)) }()
	}
	for range 100 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	checkWhole(t, client)
}

func TestD7_SpawnLimit(t *testing.T) {
	t.Parallel()
	client := newClient()
	cfg := settings(t)
	cfg.SpawnLimit = 3
	c, _ := boot(t, client, cfg)
	results := make(chan error, 20)
	for i := range 20 {
		go func() { results <- c.Start(t.Context(), ask(server.ID{User: "u" + string(rune('a'+i))})) }()
	}
	for range 20 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := waitingIn(t, client); n != 17 || len(pods(t, client)) != 3 {
		t.Errorf("%d wait, %d pods", n, len(pods(t, client)))
	}
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(claims.Items) != 3 {
		t.Errorf("starts that wait left volumes behind: %d, %v", len(claims.Items), err)
	}
}

// TestForeignObjectsAreLeftAlone: a pod or volume of the right name that the spawner did
// not make is neither used nor deleted.
func TestForeignObjectsAreLeftAlone(t *testing.T) {
	t.Parallel()
	foreignPod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: spawn.PodName(alice), UID: "theirs"}}
	foreignClaim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: spawn.HomeName("alice")}}
	for name, object := range map[string]runtime.Object{"pod": foreignPod, "volume": foreignClaim} {
		client := newClient(object)
		c, _ := boot(t, client, settings(t))
		var p *spawn.Problem
		if err := c.Start(t.Context(), ask(alice)); !errors.As(err, &p) || p.Message != spawn.MsgConflict {
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

// TestK1_HomesOfEarlierVersions: a home with the old name is the user's home still; KubeSpawner's
// claim of that name is not, and is left alone.
func TestK1_HomesOfEarlierVersions(t *testing.T) {
	t.Parallel()
	older := spawn.Claim(settings(t).Site, settings(t).Policy().Profiles[0], alice)
	older.Name = "claim-alice"
	theirs := older.DeepCopy()
	theirs.Labels = map[string]string{"component": "singleuser-storage"}
	for home, claim := range map[string]*corev1.PersistentVolumeClaim{"claim-alice": older, "home-alice": theirs} {
		client := newClient(claim)
		c, _ := boot(t, client, settings(t))
		for range 2 {
			if err := c.Start(t.Context(), ask(alice)); err != nil {
				t.Fatal(err)
			}
			if got := onlyPod(t, client).Spec.Volumes[0].PersistentVolumeClaim.ClaimName; got != home {
				t.Errorf("alice's home is %s, want %s", got, home)
			}
			if _, err := c.Stop(t.Context(), alice, time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStorageNone: homes that do not last need no volume.
func TestStorageNone(t *testing.T) {
	t.Parallel()
	client, s := newClient(), settings(t)
	temporary := s.Policy().Profiles
	temporary[0].Override.StorageType = "none"
	s.Policy = func() spawn.Policy { return spawn.Policy{Profiles: temporary} }
	c, _ := boot(t, client, s)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if home := onlyPod(t, client).Spec.Volumes[0]; err != nil || len(claims.Items) != 0 || home.EmptyDir == nil {
		t.Errorf("%d claims, the home is %+v", len(claims.Items), home)
	}
}

// TestStopNamesThePodByUID: the deletion carries the UID, so that it cannot hit a pod
// that was started meanwhile; volumes are never deleted.
func TestStopNamesThePodByUID(t *testing.T) {
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
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
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	first := failed(t, c, client, corev1.PodFailed, "Evicted")
	if err := c.Start(t.Context(), ask(alice)); err != nil {
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
	t.Parallel()
	client := newClient()
	c, _ := boot(t, client, settings(t))
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	old := onlyPod(t, client)
	now := metav1.Now()
	old.DeletionTimestamp, old.Finalizers = &now, []string{"test/hold"}
	if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), old, ns); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- c.Start(t.Context(), ask(alice)) }()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var p *spawn.Problem
	if err := c.Start(short, ask(alice)); !errors.As(err, &p) || p.Message != spawn.MsgStopWait {
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
	t.Parallel()
	gr := schema.GroupResource{Resource: "pods"}
	for want, refusal := range map[spawn.Message]error{
		spawn.MsgQuota:       apierrors.NewForbidden(gr, "x", errors.New("exceeded quota: servers, requested: pods=1")),
		spawn.MsgRefused:     apierrors.NewForbidden(gr, "x", errors.New("maximum memory usage per Container is 1Gi")),
		spawn.MsgUnavailable: apierrors.NewInternalError(errors.New("etcd is away")),
	} {
		client := newClient()
		client.PrependReactor("create", "pods", func(clienttest.Action) (bool, runtime.Object, error) { return true, nil, refusal })
		c, _ := boot(t, client, settings(t))
		err := c.Start(t.Context(), ask(alice))
		var p *spawn.Problem
		if !errors.As(err, &p) || p.Message != want {
			t.Errorf("%v became %v, want %s", refusal, err, want)
		}
		client.ReactionChain = client.ReactionChain[1:]
		if err := c.Start(t.Context(), ask(alice)); err != nil {
			t.Errorf("the next start: %v", err)
		}
		checkWhole(t, client)
	}
}
