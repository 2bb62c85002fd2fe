package homes

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// way is how a pod with a late home begins and ends. What it leaves out goes the usual way.
type way struct {
	name         string
	begin, claim string // the system call in which the driver is killed meanwhile
	with         func(e *env, pod *corev1.Pod)
	end          func(e *env, pod *corev1.Pod)
	long         bool // left out with -short
}

func plainly(e *env, pod *corev1.Pod) { e.must(e.end(pod, 1)) }
func byForce(e *env, pod *corev1.Pod) { e.must(e.end(pod, 0)) }

func evicted(e *env, pod *corev1.Pod) {
	e.must(e.admin.PolicyV1().Evictions(servers).Evict(e.t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: servers, Name: pod.Name}}))
}

// dying ends a pod while the driver is killed in a system call.
func dying(call string, end func(*env, *corev1.Pod)) func(*env, *corev1.Pod) {
	return func(e *env, pod *corev1.Pod) { e.diesIn(call, func() { end(e, pod) }) }
}

// ways are all of them. The driver's steps are these system calls, in this order.
func ways() []way {
	return []way{
		{name: "deleted", end: plainly},
		{name: "deleted by force", end: byForce},
		{name: "evicted", end: evicted},
		{name: "killed before the folder is made", begin: "mkdirat", end: byForce, long: true},
		{name: "killed before the empty folder is mounted", begin: "mount", end: plainly, long: true},
		{name: "killed before the home is opened", claim: "openat2", end: byForce, long: true},
		{name: "killed before the home is copied", claim: "open_tree", end: plainly, long: true},
		{name: "killed before the home has its options", claim: "mount_setattr", end: byForce, long: true},
		{name: "killed before the home is in its place", claim: "move_mount", end: evicted},
		{name: "killed before the home is unmounted", end: dying("umount2", byForce)},
		{name: "killed before the folder is removed", end: dying("unlinkat", plainly), long: true},
		{name: "the driver is killed, and the pod ends without it", end: func(e *env, pod *corev1.Pod) { e.killDriver(); byForce(e, pod); e.renewDriver() }, long: true},
		{name: "the driver starts anew under the home", with: func(e *env, _ *corev1.Pod) { e.killDriver(); e.renewDriver() }, end: plainly},
		{name: "the kubelet starts anew under the home", with: func(e *env, _ *corev1.Pod) { e.killPart(e.node.Part("kubelet")) }, end: plainly},
		{name: "the kubelet is killed while the pod ends", end: func(e *env, pod *corev1.Pod) { byForce(e, pod); e.killPart(e.node.Part("kubelet")) }, long: true},
		{name: "the power is cut", with: func(e *env, _ *corev1.Pod) { e.cutPower() }, end: plainly, long: true},
		{name: "the power is cut while the pod ends", end: func(e *env, pod *corev1.Pod) { byForce(e, pod); e.cutPower() }, long: true},
	}
}

// wanted are all of them, and with -short the quick ones.
func wanted() []way {
	if !testing.Short() {
		return ways()
	}
	return slices.DeleteFunc(ways(), func(w way) bool { return w.long })
}

// A home full of files is as it was after each end of a pod that had it. PERIJOVE_HOMES_ROUNDS is how many pods
// there are, which end in all ways in turn, else one for each; PERIJOVE_HOMES_FIRST is with which they begin, from 0.
func TestLateHomesLoseNothing(t *testing.T) {
	all := wanted()
	start(t).losesNothing(all, number(t, "PERIJOVE_HOMES_FIRST", 0), number(t, "PERIJOVE_HOMES_ROUNDS", len(all)))
}

// A further node has a kubelet's folder of its own, and so a driver with another configuration.
func TestLateHomesOfAFurtherNode(t *testing.T) {
	e := startOn(t, 2)
	if _, err := e.admin.CoreV1().Nodes().Get(t.Context(), e.node.Name(), metav1.GetOptions{}); err != nil {
		t.Skip("one node: NODES=2 make up has two")
	}
	all := wanted()
	e.losesNothing(all, 0, len(all))
}

func number(t *testing.T, name string, without int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return without
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		t.Fatalf("%s: %q is no number", name, text)
	}
	return n
}

// losesNothing gives one home to a pod after the other, and counts its files after each.
func (e *env) losesNothing(ways []way, first, rounds int) {
	e.t.Helper()
	e.ready()
	uid, folder := e.home("late", corev1.ReadWriteMany)
	outside := e.t.TempDir()
	e.must(os.WriteFile(filepath.Join(outside, "precious"), []byte("not yours"), 0o644))
	fill(e.t, folder, outside)
	want, files := digest(e.t, folder)
	wantOutside, _ := digest(e.t, outside)
	if files != many {
		e.t.Fatalf("the home has %d files", files)
	}
	for i := range rounds {
		w, began := ways[(first+i)%len(ways)], time.Now()
		e.round(w, "p"+strconv.Itoa(i), uid)
		if sum, left := digest(e.t, folder); sum != want {
			e.t.Fatalf("round %d, %s: the home was changed, %d files of %d are left", i+1, w.name, left, files)
		}
		if sum, _ := digest(e.t, outside); sum != wantOutside {
			e.t.Fatalf("round %d, %s: a file behind a link in the home was changed", i+1, w.name)
		}
		e.t.Logf("round %d of %d, %s: %d files, nothing was lost (%.1f s)", i+1, rounds, w.name, files, time.Since(began).Seconds())
	}
}

// round is one pod from its begin to its end.
func (e *env) round(w way, name string, home types.UID) {
	e.t.Helper()
	pod := e.begins(w, name)
	// Before the claim the folder is empty, and can not be written to.
	e.says(pod, "ls -A /home/jovyan | wc -l; touch /home/jovyan/x 2>/dev/null || echo no", "0\nno")
	give := func() { e.must(claim(e.t.Context(), e.spawner, pod, home)) }
	if w.claim != "" {
		e.diesIn(w.claim, give)
	} else {
		began := time.Now()
		give()
		e.mounted(pod)
		e.t.Logf("the home is there %d ms after the order", time.Since(began).Milliseconds())
	}
	e.hasHome(pod)
	if w.with != nil {
		w.with(e, pod)
		e.hasHome(pod)
	}
	w.end(e, pod)
	e.gone(pod)
}

// begins starts a round's pod.
func (e *env) begins(w way, name string) (pod *corev1.Pod) {
	e.t.Helper()
	if w.begin != "" {
		e.diesIn(w.begin, func() { pod = e.run("late", name) })
	} else {
		pod = e.run("late", name)
	}
	e.runs(pod)
	return pod
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}
