package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// poolOf is a profile of which pods wait, for the end of the list of profiles.
func poolOf(size int) string {
	return fmt.Sprintf(`  - display_name: E2E pool
    slug: e2e-pool
    kubespawner_override: { storage_type: none, cmd: [quick-lab] }
    pool: { size: %d }
`, size)
}

// waitingPods returns the pods that wait for a user.
func waitingPods(t *testing.T) (waiting []corev1.Pod) {
	t.Helper()
	l, err := cluster(t).CoreV1().Pods(servers).List(t.Context(), metav1.ListOptions{LabelSelector: contract.LabelComponent + "=" + contract.ComponentPool})
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range l.Items {
		if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == contract.ConditionWaiting && c.Status == corev1.ConditionTrue
		}) && pod.DeletionTimestamp == nil {
			waiting = append(waiting, pod)
		}
	}
	return waiting
}

// podsOf returns the pods of a user's servers.
func podsOf(t *testing.T, user string) []corev1.Pod {
	t.Helper()
	l, err := cluster(t).CoreV1().Pods(servers).List(t.Context(), metav1.ListOptions{LabelSelector: contract.LabelUsername + "=" + user})
	if err != nil {
		t.Fatal(err)
	}
	return l.Items
}

// stopPooled stops a server and waits until it has no pod.
func (p *person) stopPooled() {
	p.t.Helper()
	form := url.Values{contract.XSRFName: {field(p.t, p.page(contract.PathHome)+p.page(contract.PathSpawn), contract.XSRFName)}}
	resp := p.do("POST", "/hub/stop/"+p.name, form)
	_ = resp.Body.Close()
	wait.Within(p.t, 30*time.Second, p.name+"'s pod is gone", func() bool { return len(podsOf(p.t, p.name)) == 0 })
}

// TestPool: users of a profile with a pool get pods that waited, each a fresh one; the pool is filled again. A click takes less
// than a second to the first byte of the lab.
func TestPool(t *testing.T) {
	list, write := profileList(t)
	bob := login(t, "bob")
	bob.stop()
	write(list + poolOf(2))
	full := func() {
		t.Helper()
		wait.Within(t, 2*time.Minute, "two pods wait", func() bool { return len(waitingPods(t)) == 2 })
	}
	full()
	uids := map[string]bool{}
	var took []time.Duration
	for range 5 {
		full()
		took = append(took, clickToLab(t, bob, url.Values{"profile": {"e2e-pool"}}))
		pods := podsOf(t, "bob")
		if len(pods) != 1 || pods[0].Labels[contract.LabelPool] == "" || uids[string(pods[0].UID)] {
			t.Fatalf("bob's pods are %v", pods)
		}
		uids[string(pods[0].UID)] = true
		bob.stopPooled()
	}
	t.Logf("click → first byte of /user/bob/lab from a pool: median of %d: %.2f s; %v", len(took), median(took).Seconds(), took)
	if slices.Min(took) > time.Second {
		t.Error("the fastest start from a pool takes more than a second")
	}
	write(list)
	wait.Within(t, 3*time.Minute, "nothing waits any more", func() bool { return len(waitingPods(t)) == 0 })
}

// inPod runs a program in a pod of a server and returns what it printed.
func inPod(t *testing.T, pod corev1.Pod, program string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), kubectl.Path(), "--namespace", servers, "exec", pod.Name, "--", "python3", "-c", program).Output()
	if err != nil {
		t.Fatalf("in %s: %v", pod.Name, err)
	}
	return strings.TrimSpace(string(out))
}

// TestPoolGivesHomes: a pod that waited gets the home that its user had in a pod of its own, with all files, and what is
// written there stays. A new home is given to a pod of its own.
func TestPoolGivesHomes(t *testing.T) {
	list, write := profileList(t)
	bob, claims := login(t, "bob"), cluster(t).CoreV1().PersistentVolumeClaims(servers)
	bob.stop()
	forget := func() {
		t.Helper()
		ctx := context.Background() // also when the test is over
		_ = claims.Delete(ctx, "home-bob", metav1.DeleteOptions{})
		wait.Within(t, 2*time.Minute, "bob's home is gone", func() bool {
			_, err := claims.Get(ctx, "home-bob", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
	forget()
	t.Cleanup(forget)
	write(list + `  - display_name: E2E homes
    slug: e2e-homes
    kubespawner_override: { cmd: [quick-lab], storage_class: shared, storage_access_modes: [ReadWriteMany] }
    pool: { size: 1 }
`)
	server := func(pooled bool) corev1.Pod {
		t.Helper()
		wait.Within(t, 2*time.Minute, "a pod waits", func() bool { return len(waitingPods(t)) == 1 })
		took := clickToLab(t, bob, url.Values{"profile": {"e2e-homes"}})
		pods := podsOf(t, "bob")
		if len(pods) != 1 || (pods[0].Labels[contract.LabelPool] != "") != pooled {
			t.Fatalf("bob's pods are %v, of the pool: want %v", pods, pooled)
		}
		t.Logf("click → first byte, of the pool %v: %.2f s", pooled, took.Seconds())
		return pods[0]
	}
	const add, read = `open("/home/jovyan/lines", "a").write("%d\n")`, `print(open("/home/jovyan/lines").read().split())`
	inPod(t, server(false), fmt.Sprintf(add, 1))
	bob.stopPooled()
	for i := 2; i <= 3; i++ {
		pod := server(true)
		inPod(t, pod, fmt.Sprintf(add, i))
		if got, want := inPod(t, pod, read), []string{"", "", "['1', '2']", "['1', '2', '3']"}[i]; got != want {
			t.Errorf("the file holds %s, want %s", got, want)
		}
		bob.stopPooled()
	}
	write(list)
	wait.Within(t, 3*time.Minute, "nothing waits any more", func() bool { return len(waitingPods(t)) == 0 })
}
