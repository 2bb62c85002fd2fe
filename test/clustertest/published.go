package clustertest

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/memory"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/wait"
)

// published: pods that the spawner did not make are listed by their owner, as far as the gateway
// leads to them.
func published(t *testing.T, e *Env) {
	now := e.Clock.Now()
	put := func(name string, id server.ID, created time.Time, change func(*corev1.Pod)) {
		pod := memory.Labelled(name, id, created)
		pod.Namespace = Site().Namespace
		change(pod)
		e.Put(pod)
	}
	as := func(name string) server.ID { return server.ID{User: "alice", Name: name} }
	same := func(*corev1.Pod) {}
	put("rstudio", as("rstudio"), now, same)
	put("bobs", server.ID{User: "bob", Name: "app"}, now, same)
	put("starts", as("starts"), now, func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
	put("ended", as("ended"), now, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed })
	put("node", as("node"), now, func(p *corev1.Pod) { p.Spec.HostNetwork = true })
	put("loopback", as("loopback"), now, func(p *corev1.Pod) { p.Status.PodIP = "127.0.0.1" })
	put("portless", as("portless"), now, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = nil })
	put("older", as("twice"), now.Add(-time.Hour), same)
	put("younger", as("twice"), now, same)
	put("unnamed", server.ID{User: "alice", Name: "../bob"}, now, same)
	have := func() (all []string) {
		for _, s := range e.Cluster.Published("alice") {
			all = append(all, s.ID.Name+"="+s.Pod)
		}
		return all
	}
	eventually(t, have, "rstudio=rstudio", "twice=older")
	if got := e.Cluster.List("alice"); len(got) != 0 {
		t.Errorf("alice has started %v", got)
	}
	// Of a server that alice starts and a pod of the same name the older one is routed.
	put("first", as("demo"), now.Add(-time.Hour), same)
	put("second", as(""), now.Add(time.Hour), same)
	eventually(t, have, "=second", "demo=first", "rstudio=rstudio", "twice=older")
	for _, name := range []string{"", "demo"} {
		e.start(t, alice, name, spawn.Options{})
		e.Change(as(name), func(pod *corev1.Pod) {
			memory.Answer(pod)
			pod.Status.PodIP = "10.1.2.4"
		})
		e.becomes(t, as(name), spawn.Answering)
	}
	eventually(t, have, "demo=first", "rstudio=rstudio", "twice=older")
	eventually(t, func() (all []string) {
		for _, s := range e.Cluster.Routed() {
			all = append(all, s.ID.String()+"="+s.Pod)
		}
		return all
	}, "alice/="+spawn.PodName(as("")), "alice/demo=first", "alice/rstudio=rstudio", "alice/twice=older", "bob/app=bobs")
	if got := e.Cluster.Published("carol"); len(got) != 0 {
		t.Errorf("carol has %v", got)
	}
}

// eventually waits until have returns want.
func eventually(t *testing.T, have func() []string, want ...string) {
	t.Helper()
	var got []string
	if !wait.Poll(10*time.Second, func() bool { got = have(); return slices.Equal(got, want) }) {
		t.Errorf("published are %v, want %v", got, want)
	}
}
