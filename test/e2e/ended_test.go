package e2e

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/kubectl"
	"github.com/perijove/perijove/test/wait"
)

// TestIdleServerEnds: the spawner may end a server that was idle for too long, and the kubelet does:
// the pod stays, its user reads why, and the next start makes a new one. What is idle is tested in
// test/jupyter and pkg/hub/spawn/kube; here an hour would be too long.
func TestIdleServerEnds(t *testing.T) {
	bob := login(t, "bob")
	bob.stop()
	moreProfiles(t, bob, "e2e-idle", "  - display_name: E2E idle\n    slug: e2e-idle\n    max_age: 12h\n    cull: { idle: 1h }\n")
	bob.choose("e2e-idle")
	bob.follow()
	defer bob.stop()
	if home := bob.page(contract.PathHome); !strings.Contains(home, "Ends: <time") || strings.Contains(home, "without use") {
		t.Errorf("negative control: the home page says\n%s", home)
	}
	now := func() *corev1.Pod {
		t.Helper()
		pod, err := cluster(t).CoreV1().Pods(servers).Get(t.Context(), spawn.PodName(server.ID{User: "bob"}), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pod
	}
	first := now()
	var out []byte
	if !wait.Poll(20*time.Second, func() bool { // the kubelet may write a status meanwhile
		patch, err := json.Marshal(spawn.Culled(now()))
		if err != nil {
			t.Fatal(err)
		}
		out, err = exec.CommandContext(t.Context(), kubectl.Path(), "--namespace", servers, "--as", "system:serviceaccount:"+namespace+":perijove-spawner",
			"patch", "pod", first.Name, "--type", "strategic", "--patch", string(patch)).CombinedOutput()
		return err == nil
	}) {
		t.Fatalf("the spawner may not end an idle server: %s", out)
	}
	wait.Within(t, 40*time.Second, "the home page says why", func() bool {
		return strings.Contains(bob.page(contract.PathHome), "stopped after 1 h without use")
	})
	if ended := now(); ended.UID != first.UID || ended.Status.Phase != corev1.PodFailed || ended.Status.Reason != "DeadlineExceeded" {
		t.Errorf("the pod is %s: %s", ended.Status.Phase, ended.Status.Reason)
	}
	bob.spawn()
	if again := now(); again.UID == first.UID || strings.Contains(bob.page(contract.PathHome), "without use") {
		t.Error("the next start made no new server")
	}
}
