package main

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/peer"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

func took(seconds ...float64) (r round) {
	for _, s := range seconds {
		r = append(r, time.Duration(s*float64(time.Second)))
	}
	return r
}

func TestTable(t *testing.T) {
	bare := &contestant{name: "bare", rounds: []round{took(1, 2, 10), took(1, 2, 20), took(1, 2, 20)}}
	ours := &contestant{name: "ours", rounds: []round{took(2, 3, 12), took(2, 3, 22), took(2, 3, 40)}}
	got := strings.Fields(strings.ReplaceAll(strings.Split(table([]*contestant{bare, ours}), "\n")[3], "|", " "))
	if want := "ours 2.00 3.00 22.0 12.0 to 40.0 1.20 1.10 to 2.00 0"; strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), want)
	}
}

func TestVerdict(t *testing.T) {
	bare := &contestant{rounds: []round{took(10)}}
	for what, c := range map[string]struct {
		rounds []round
		failed int64
		bad    bool
	}{
		"as quick":       {rounds: []round{took(11)}},
		"too slow":       {rounds: []round{took(14)}, bad: true},
		"not measured":   {bad: true},
		"a failed start": {rounds: []round{took(10)}, failed: 1, bad: true},
	} {
		ours := &contestant{rounds: c.rounds}
		ours.failed.Store(c.failed)
		if err := verdict(ours, bare); (err != nil) != c.bad {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBarePod: nothing of ours is left that a bare pod would wait for, and its home is its own.
func TestBarePod(t *testing.T) {
	site := spawn.Site{Namespace: servers, JupyterConfigMap: "jupyter", Proof: true}
	c := &cluster{like: spawn.Pod(site, spawn.Spec{ID: server.ID{User: user(0)}, Nonce: "abcdefghijklmnopqrstuvwxyz"})}
	pod := c.barePod(7)
	if len(pod.Labels)+len(pod.Annotations)+len(pod.Spec.ReadinessGates) > 0 || pod.Namespace != peer.Namespace {
		t.Errorf("it is one of ours: %+v %+v", pod.ObjectMeta, pod.Spec.ReadinessGates)
	}
	volumes := map[string]corev1.Volume{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = v
		if v.Secret != nil || v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName != "bare-bench-7" {
			t.Errorf("volume %+v", v)
		}
	}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if _, ok := volumes[m.Name]; !ok {
			t.Errorf("mount %s has no volume", m.Name)
		}
	}
	for _, e := range pod.Spec.Containers[0].Env {
		if e.ValueFrom != nil || e.Name == "PERIJOVE_PROOF" {
			t.Errorf("variable %+v", e)
		}
	}
	if len(c.like.Spec.ReadinessGates) == 0 {
		t.Error("the pod that it is like was changed")
	}
}
