package kube

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// TestAStartTakesAWaitingPod: the pod becomes the user's server, is told whose it is, answers, and another one waits in
// its place. The order's secret is the one that Envoy shows.
func TestAStartTakesAWaitingPod(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 2, nil)
	c, _ := y.replica(t, s)
	y.fill(t, 2, c)
	if err := c.Start(t.Context(), ask(alice)); err != nil {
		t.Fatal(err)
	}
	pod := y.podOf(t, "alice")
	if !spawn.IsClaimed(pod) || pod.Labels[contract.LabelComponent] != contract.ComponentServer {
		t.Fatalf("the server's pod is %s, %v", pod.Name, pod.Labels)
	}
	got := y.of(pod).order
	if got == nil {
		t.Fatal("the pod was told nothing")
	}
	want := map[string]string{
		"PERIJOVE_SERVER_SECRET": contract.ServerSecret(s.Keys.Server, ns, pod.Name, pod.Annotations[contract.AnnotationNonce]),
		"PERIJOVE_USER":          "alice", "PERIJOVE_BASE_URL": "/user/alice/", "HOME": "/home/jovyan", "TEAM": "physics", "JUPYTERHUB_USER": "alice",
	}
	for name, value := range want {
		if got.Env[name] != value {
			t.Errorf("%s is %q in the order", name, got.Env[name])
		}
	}
	if text := pod.Annotations[contract.AnnotationOrder]; strings.Contains(text, want["PERIJOVE_SERVER_SECRET"]) || strings.Contains(text, "SECRET") {
		t.Error("the secret is in the pod, where everybody who lists pods reads it")
	}
	wait.Until(t, "it answers", func() bool {
		s, err := c.Get(t.Context(), alice)
		return err == nil && s.Phase == spawn.Answering
	})
	y.fill(t, 2, c)
	if idle, used, cold := y.by(c); len(idle) != 2 || len(used) != 1 || len(cold) != 0 {
		t.Errorf("waiting %v, used %v, cold %v", idle, used, cold)
	}
	if gone, err := c.Stop(t.Context(), alice, stopWait); !gone || err != nil {
		t.Errorf("stopped: %v, %v", gone, err)
	}
	wait.Until(t, "the record holds nothing", func() bool { return len(c.record(spawn.Subject{Name: "alice"}).Holds) == 0 })
}

// TestAnEmptyPool: of three users at one pool of two the third starts cold.
func TestAnEmptyPool(t *testing.T) {
	t.Parallel()
	y, s := newYard(t), settings(t)
	s.Policy = poolPolicy(t, 2, nil)
	c, _ := y.replica(t, s)
	y.fill(t, 2, c)
	for _, user := range []string{"a", "b", "c"} {
		if err := c.Start(t.Context(), ask(server.ID{User: user})); err != nil {
			t.Fatal(err)
		}
	}
	if _, used, cold := y.by(c); len(used) != 2 || len(cold) != 1 {
		t.Errorf("used %v, cold %v", used, cold)
	}
}
