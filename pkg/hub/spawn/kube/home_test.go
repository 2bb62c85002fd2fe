package kube

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

var demo = server.ID{User: "alice", Name: "demo"}

// with returns settings whose one profile has these, over an image.
func with(t *testing.T, o spawn.Override) Settings {
	t.Helper()
	s := settings(t)
	o.Image = "example.org/lab:1"
	s.Policy = func() spawn.Policy {
		return spawn.Policy{Profiles: spawn.Catalog{{DisplayName: "Lab", Slug: "lab", Override: o}}}
	}
	return s
}

// claimsIn returns the sizes that claims ask for, by name.
func claimsIn(t *testing.T, client *fake.Clientset) map[string]string {
	t.Helper()
	l, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range l.Items {
		out[c.Name] = c.Spec.Resources.Requests.Storage().String()
	}
	return out
}

// bound is alice's home of some size, with a volume.
func bound(t *testing.T, size string) *corev1.PersistentVolumeClaim {
	t.Helper()
	s := with(t, spawn.Override{StorageCapacity: spawn.Amount(size)})
	claim := spawn.Claim(s.Site, s.Policy().Profiles[0], alice)
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.Capacity = claim.Spec.Resources.Requests.DeepCopy()
	return claim
}

// start starts a server and fails the test if that fails; it returns the server's pod.
func start(t *testing.T, c *Cluster, client *fake.Clientset, id server.ID) *corev1.Pod {
	t.Helper()
	if err := c.Start(t.Context(), ask(id)); err != nil {
		t.Fatalf("start %s: %v", id, err)
	}
	pod, err := client.CoreV1().Pods(ns).Get(t.Context(), spawn.PodName(id), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// told returns the step about the home's size, if the server's page has one.
func told(t *testing.T, c *Cluster, id server.ID) (spawn.Step, bool) {
	t.Helper()
	s, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range s.Steps {
		if step.Message == spawn.MsgHomeSize {
			return step, true
		}
	}
	return spawn.Step{}, false
}

// TestHomesGrow: a start enlarges a home to what the profile wants, and makes none smaller.
func TestHomesGrow(t *testing.T) {
	t.Parallel()
	for wanted, want := range map[string]string{"10Gi": "10Gi", "5Gi": "5Gi", "1Gi": "5Gi"} {
		client := newClient(bound(t, "5Gi"))
		c, _ := boot(t, client, with(t, spawn.Override{StorageCapacity: spawn.Amount(wanted)}))
		start(t, c, client, alice)
		if got := claimsIn(t, client)["home-alice"]; got != want {
			t.Errorf("a home of 5Gi with a profile of %s: %s", wanted, got)
		}
		if step, ok := told(t, c, alice); ok {
			t.Errorf("a profile of %s: %v", wanted, step)
		}
		for _, a := range client.Actions() {
			if p, ok := a.(clienttest.PatchAction); ok && a.GetResource().Resource != "pods" &&
				(wanted != "10Gi" || string(p.GetPatch()) != `{"metadata":{"resourceVersion":""},"spec":{"resources":{"requests":{"storage":"10Gi"}}}}`) {
				t.Errorf("a profile of %s: the claim is patched with %s", wanted, p.GetPatch())
			}
		}
	}
}

// refuse lets changes of claims fail, the first times or, with times 0, always.
func refuse(client *fake.Clientset, times int32, err error) *atomic.Int32 {
	var n atomic.Int32
	client.PrependReactor("patch", "persistentvolumeclaims", func(clienttest.Action) (bool, runtime.Object, error) {
		return times == 0 || n.Add(1) <= times, nil, err
	})
	return &n
}

// TestHomesThatCannotGrow: whatever the reason, the server starts with the home as it is, and its
// user is told.
func TestHomesThatCannotGrow(t *testing.T) {
	t.Parallel()
	gr := schema.GroupResource{Resource: "persistentvolumeclaims"}
	for what, refusal := range map[string]error{
		"only dynamically provisioned pvc can be resized": apierrors.NewForbidden(gr, "home-alice", errors.New("only dynamically provisioned pvc can be resized")),
		"exceeded quota":             apierrors.NewForbidden(gr, "home-alice", errors.New("exceeded quota: homes, requested: requests.storage=5Gi")),
		"spec is immutable":          apierrors.NewInvalid(schema.GroupKind{Kind: "PersistentVolumeClaim"}, "home-alice", nil),
		"etcd is away":               apierrors.NewInternalError(errors.New("etcd is away")),
		"the server does not answer": errors.New("the server does not answer"),
	} {
		client := newClient(bound(t, "5Gi"))
		refuse(client, 0, refusal)
		c, _ := boot(t, client, with(t, spawn.Override{StorageCapacity: "10Gi"}))
		start(t, c, client, alice)
		step, ok := told(t, c, alice)
		if !ok || step.Failed || step.Data["Have"] != "5 GiB" || step.Data["Want"] != "10 GiB" || what != "spec is immutable" && !strings.Contains(step.Detail, what) {
			t.Errorf("%s: the page says %+v", what, step)
		}
		if got := claimsIn(t, client)["home-alice"]; got != "5Gi" {
			t.Errorf("%s: the home asks for %s", what, got)
		}
	}
}

// TestHomesGrowWithOthers: a home that another start changes meanwhile is looked at again, and
// one that is large enough by then is left alone.
func TestHomesGrowWithOthers(t *testing.T) {
	t.Parallel()
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "persistentvolumeclaims"}, "home-alice", errors.New("the object has been modified"))
	client := newClient(bound(t, "5Gi"))
	refuse(client, 2, conflict)
	c, _ := boot(t, client, with(t, spawn.Override{StorageCapacity: "10Gi"}))
	start(t, c, client, alice)
	if got := claimsIn(t, client)["home-alice"]; got != "10Gi" {
		t.Errorf("after two conflicts the home asks for %s", got)
	}

	client = newClient(bound(t, "5Gi"))
	client.PrependReactor("patch", "persistentvolumeclaims", func(clienttest.Action) (bool, runtime.Object, error) {
		larger := bound(t, "20Gi")
		return true, nil, errors.Join(client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims"), larger, ns), conflict)
	})
	c, _ = boot(t, client, with(t, spawn.Override{StorageCapacity: "10Gi"}))
	start(t, c, client, alice)
	if got := claimsIn(t, client)["home-alice"]; got != "20Gi" {
		t.Errorf("the other start made 20Gi, then the home asks for %s", got)
	}
	if step, ok := told(t, c, alice); ok {
		t.Errorf("the page says %v of a home that is large enough", step)
	}
}

// TestHomesOfServers: each named server has its own, the default server the user's.
func TestHomesOfServers(t *testing.T) {
	t.Parallel()
	older := bound(t, "1Gi")
	older.Name = "claim-alice" // of an earlier version
	client := newClient(older)
	c, _ := boot(t, client, with(t, spawn.Override{StorageHomes: "server"}))
	for id, want := range map[server.ID]string{alice: "claim-alice", demo: "home-alice--demo", {User: "alice", Name: "B"}: "home-alice--b---357hbziccvcpja2l"} {
		if got := start(t, c, client, id).Spec.Volumes[0].PersistentVolumeClaim.ClaimName; got != want {
			t.Errorf("the home of %s is %s, want %s", id, got, want)
		}
	}
}

// TestK1_ForeignHomes: a claim of the right name that is another owner's, or another program's, is
// neither used nor changed, also when it appears in the moment of the start.
func TestK1_ForeignHomes(t *testing.T) {
	t.Parallel()
	s := with(t, spawn.Override{StorageHomes: "server", StorageCapacity: "5Gi"})
	profile := s.Policy().Profiles[0]
	others := map[string]*corev1.PersistentVolumeClaim{
		"the user's own home":   spawn.Claim(s.Site, profile, alice),
		"another user's":        spawn.Claim(s.Site, profile, server.ID{User: "bob", Name: "demo"}),
		"another server's":      spawn.Claim(s.Site, profile, server.ID{User: "alice", Name: "Demo"}),
		"another program's":     {},
		"KubeSpawner's, theirs": {ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"hub.jupyter.org/username": "alice", "hub.jupyter.org/servername": "demo"}}},
	}
	for what, claim := range others {
		claim = claim.DeepCopy()
		claim.Namespace, claim.Name, claim.Status.Phase = ns, "home-alice--demo", corev1.ClaimBound
		claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
		for _, late := range []bool{false, true} {
			client := newClient()
			if !late {
				client = newClient(claim.DeepCopy())
			} else {
				client.PrependReactor("create", "persistentvolumeclaims", func(clienttest.Action) (bool, runtime.Object, error) {
					return true, nil, errors.Join(client.Tracker().Add(claim.DeepCopy()), apierrors.NewAlreadyExists(schema.GroupResource{Resource: "persistentvolumeclaims"}, claim.Name))
				})
			}
			c, _ := boot(t, client, s)
			var p *spawn.Problem
			if err := c.Start(t.Context(), ask(demo)); !errors.As(err, &p) || p.Message != spawn.MsgConflict {
				t.Errorf("%s, late %v: %v", what, late, err)
			}
			if got := claimsIn(t, client)["home-alice--demo"]; got != "1Gi" || len(pods(t, client)) != 0 {
				t.Errorf("%s, late %v: it asks for %s, %d pods", what, late, got, len(pods(t, client)))
			}
		}
	}
}

// TestTwoStartsOneHome: two replicas start two servers of one user, and the same server, at one
// moment: one claim.
func TestTwoStartsOneHome(t *testing.T) {
	t.Parallel()
	client := newClient()
	a, _ := boot(t, client, with(t, spawn.Override{}))
	b, _ := boot(t, client, with(t, spawn.Override{}))
	errs := make(chan error, 20)
	for i := range 20 {
		go func() { errs <- []*Cluster{a, b}[i%2].Start(t.Context(), ask([]server.ID{alice, demo}[i/2%2])) }()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := claimsIn(t, client); len(got) != 1 || got["home-alice"] != "1Gi" || len(pods(t, client)) != 2 {
		t.Errorf("claims %v, %d pods", got, len(pods(t, client)))
	}
}

// TestNoStopDeletesAHome: of no type of storage.
func TestNoStopDeletesAHome(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		storage spawn.Override
		homes   int
	}{
		"a volume for each user":   {spawn.Override{}, 1},
		"a volume for each server": {spawn.Override{StorageHomes: "server"}, 2},
		"folders of one volume":    {spawn.Override{StorageType: "static", StorageClaim: "nfs"}, 1},
		"none":                     {spawn.Override{StorageType: "none"}, 0},
	} {
		client := newClient()
		if c.storage.StorageType == "static" {
			client = newClient(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "nfs"}})
		}
		cluster, _ := boot(t, client, with(t, c.storage))
		for _, id := range []server.ID{alice, demo} {
			start(t, cluster, client, id)
			if gone, err := cluster.Stop(t.Context(), id, time.Second); err != nil || !gone {
				t.Fatal(gone, err)
			}
		}
		if got := claimsIn(t, client); len(got) != c.homes || len(pods(t, client)) != 0 {
			t.Errorf("%s: after the stops there are %v, %d pods", what, got, len(pods(t, client)))
		}
		for _, a := range client.Actions() {
			if a.GetResource().Resource == "persistentvolumeclaims" && !slices.Contains([]string{"get", "list", "watch", "create"}, a.GetVerb()) {
				t.Errorf("%s: %s of a claim", what, a.GetVerb())
			}
			if a.GetVerb() == "create" && a.GetResource().Resource == "persistentvolumeclaims" && c.storage.StorageType != "" {
				t.Errorf("%s: a claim was made", what)
			}
		}
	}
}

// TestDeletedUser: homes go only where that is said, and only the user's: neither another user's
// nor a claim that has the name of one.
func TestDeletedUser(t *testing.T) {
	t.Parallel()
	client := newClient(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "claim-alice"}}) // KubeSpawner's
	s := settings(t)
	policy := s.Policy()
	policy.Profiles[0].Override.StorageHomes = "server"
	s.Policy = func() spawn.Policy { return policy }
	c, _ := boot(t, client, s)
	for _, id := range []server.ID{alice, {User: "alice", Name: "x"}, {User: "bob"}} {
		if err := c.Start(t.Context(), ask(id)); err != nil {
			t.Fatal(err)
		}
	}
	names := func() (all []string) {
		l, err := client.CoreV1().PersistentVolumeClaims(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, claim := range l.Items {
			all = append(all, claim.Name)
		}
		slices.Sort(all)
		return all
	}
	wait.Until(t, "both servers are seen", func() bool { return len(c.List("alice")) == 2 })
	for _, homes := range []bool{false, true} {
		if err := c.DeleteUser(t.Context(), "alice", homes); err != nil {
			t.Fatal(err)
		}
		want := []string{"claim-alice", "home-bob"}
		if !homes {
			want = []string{"claim-alice", "home-alice", "home-alice--x", "home-bob"}
		}
		if got := names(); !slices.Equal(got, want) {
			t.Errorf("homes %v: %v, want %v", homes, got, want)
		}
		wait.Until(t, "no server is listed", func() bool { return len(c.List("alice")) == 0 })
	}
	if m, err := c.liveRecord(t.Context(), spawn.Subject{Name: "alice"}); m != nil || err != nil {
		t.Errorf("alice's record: %v, %v", m, err)
	}
	if len(pods(t, client)) != 1 || len(c.record(spawn.Subject{Name: "bob"}).Holds) != 1 {
		t.Error("another user's server is gone")
	}
	if err := c.DeleteUser(t.Context(), "../bob", true); err == nil {
		t.Error("a name that is none is deleted")
	}
}

// TestHomesCostNoQuestion: whether a home is there, of an earlier version too, is known without a
// call of the API.
func TestHomesCostNoQuestion(t *testing.T) {
	t.Parallel()
	older := bound(t, "1Gi")
	older.Name = "claim-alice"
	for what, client := range map[string]*fake.Clientset{
		"a new home": newClient(), "a home": newClient(bound(t, "1Gi")), "a home of an earlier version": newClient(older),
	} {
		c, _ := boot(t, client, settings(t))
		start(t, c, client, alice)
		if n := calls(client, "get", "persistentvolumeclaims"); n != 0 {
			t.Errorf("%s: asked for %d times", what, n)
		}
		if got := claimsIn(t, client); len(got) != 1 {
			t.Errorf("%s: homes %v", what, got)
		}
	}
}
