package homes

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// way is how a pod with a late home begins and ends. What it leaves out goes the usual way.
type way struct {
	name         string
	begin, claim string // the system call in which the driver is killed meanwhile
	with         func(e *env, pod *corev1.Pod)
	end          func(e *env, pod *corev1.Pod)
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
		{name: "killed before the folder is made", begin: "mkdirat", end: byForce},
		{name: "killed before the empty folder is mounted", begin: "mount", end: plainly},
		{name: "killed before the home is opened", claim: "openat2", end: byForce},
		{name: "killed before the home is copied", claim: "open_tree", end: plainly},
		{name: "killed before the home has its options", claim: "mount_setattr", end: byForce},
		{name: "killed before the home is in its place", claim: "move_mount", end: evicted},
		{name: "killed before the home is unmounted", end: dying("umount2", byForce)},
		{name: "killed before the folder is removed", end: dying("unlinkat", plainly)},
		{name: "the driver is killed, and the pod ends without it", end: func(e *env, pod *corev1.Pod) { e.killDriver(); byForce(e, pod); e.renewDriver() }},
		{name: "the driver starts anew under the home", with: func(e *env, _ *corev1.Pod) { e.killDriver(); e.renewDriver() }, end: plainly},
		{name: "the kubelet starts anew under the home", with: func(e *env, _ *corev1.Pod) { e.killPart("kubelet") }, end: plainly},
		{name: "the kubelet is killed while the pod ends", end: func(e *env, pod *corev1.Pod) { byForce(e, pod); e.killPart("kubelet") }},
		{name: "the power is cut", with: func(e *env, _ *corev1.Pod) { e.cutPower() }, end: plainly},
		{name: "the power is cut while the pod ends", end: func(e *env, pod *corev1.Pod) { byForce(e, pod); e.cutPower() }},
	}
}

// A home full of files is as it was after each end of a pod that had it. PERIJOVE_HOMES_ROUNDS is how many pods
// there are, without it each way is tried once; PERIJOVE_HOMES_FIRST is with which way they begin, from 0.
func TestLateHomesLoseNothing(t *testing.T) {
	e := start(t)
	uid, folder := e.home("late", corev1.ReadWriteMany)
	outside := t.TempDir()
	e.must(os.WriteFile(filepath.Join(outside, "precious"), []byte("not yours"), 0o644))
	fill(t, folder, outside)
	want, files := digest(t, folder)
	wantOutside, _ := digest(t, outside)
	if files != 10000 {
		t.Fatalf("the home has %d files", files)
	}
	all, rounds := ways(), len(ways())
	if text := os.Getenv("PERIJOVE_HOMES_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("PERIJOVE_HOMES_ROUNDS: %q is no number of pods", text)
		}
	}
	first := 0
	if text := os.Getenv("PERIJOVE_HOMES_FIRST"); text != "" {
		var err error
		if first, err = strconv.Atoi(text); err != nil || first < 0 {
			t.Fatalf("PERIJOVE_HOMES_FIRST: %q is no number of a way", text)
		}
	}
	for i := range rounds {
		w := all[(first+i)%len(all)]
		began := time.Now()
		pod := e.begins(w, "p"+strconv.Itoa(i))
		if got := e.says(pod, "ls -A /home/jovyan | wc -l; touch /home/jovyan/x 2>/dev/null || echo no"); got != "0\nno" {
			t.Fatalf("round %d, %s: before the claim the folder is not empty, or can be written to: %q", i, w.name, got)
		}
		give := func() { e.must(claim(t.Context(), e.spawner, pod, uid)) }
		if w.claim != "" {
			e.diesIn(w.claim, give)
		} else {
			give()
		}
		e.hasHome(pod)
		if w.with != nil {
			w.with(e, pod)
			e.hasHome(pod)
		}
		w.end(e, pod)
		e.gone(pod)
		if sum, left := digest(t, folder); sum != want {
			t.Fatalf("round %d, %s: the home was changed, %d files of %d are left", i, w.name, left, files)
		}
		if sum, _ := digest(t, outside); sum != wantOutside {
			t.Fatalf("round %d, %s: a file behind a link in the home was changed", i, w.name)
		}
		t.Logf("round %d of %d, %s: nothing was lost (%.1f s)", i+1, rounds, w.name, time.Since(began).Seconds())
	}
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
