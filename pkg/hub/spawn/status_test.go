package spawn

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/test/golden"
)

func TestJudge(t *testing.T) {
	golden.Each(t, "testdata/judge/*.txtar", func(t *testing.T, in map[string][]byte) []txtar.File {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Profile: Profile{Override: Override{Image: "example.org/lab:1", MemLimit: "1G"}}, Nonce: nonce})
		if err := yaml.UnmarshalStrict(in["pod.yaml"], pod); err != nil {
			t.Fatal(err)
		}
		var events []*corev1.Event
		if err := yaml.UnmarshalStrict(in["events.yaml"], &events); err != nil {
			t.Fatal(err)
		}
		after := 30 * time.Second
		if text, ok := in["after"]; ok {
			var err error
			if after, err = time.ParseDuration(strings.TrimSpace(string(text))); err != nil {
				t.Fatal(err)
			}
		}
		now := pod.CreationTimestamp.Add(after)
		s := StatusOf(pod, events, now, 5*time.Minute)
		var b strings.Builder
		fmt.Fprintf(&b, "%s, a start would %s; waitsForSecret=%v stale=%v\n", s.Phase, Plan(pod, events, now, 5*time.Minute), WaitsForSecret(pod, events), IsStale(pod))
		for _, step := range s.Steps {
			fmt.Fprintf(&b, "%3d %s", step.Percent, step.Message)
			if len(step.Data) > 0 {
				fmt.Fprintf(&b, " %v", step.Data)
			}
			if step.Detail != "" {
				fmt.Fprintf(&b, " %q", step.Detail)
			}
			if step.Failed {
				b.WriteString(" FAILED")
			}
			b.WriteString("\n")
		}
		for _, n := range notices(pod, now) {
			fmt.Fprintf(&b, "notice %s %v %s\n", n.Message, n.Data, n.At.UTC().Format(time.RFC3339))
		}
		return []txtar.File{{Name: "want", Data: []byte(b.String())}}
	})
}

func TestJudgeNoPod(t *testing.T) {
	if s := StatusOf(nil, nil, time.Now(), time.Minute); s.Phase != Stopped || len(s.Steps) != 0 {
		t.Errorf("no pod is %v", s)
	}
}

func TestJudgeTimeout(t *testing.T) {
	pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce})
	pod.Spec.NodeName = "n1"
	at := pod.CreationTimestamp.Time
	if s := StatusOf(pod, nil, at.Add(time.Minute), time.Minute); s.Phase != Pending {
		t.Errorf("in time: %v", s)
	}
	s := StatusOf(pod, nil, at.Add(time.Minute+time.Second), time.Minute)
	if s.Phase != Failed || s.Now().Message != MsgTimeout || s.Now().Data["Timeout"] != "1m0s" {
		t.Errorf("too late: %v", s)
	}
}

func TestProbeTarget(t *testing.T) {
	make := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce})
		pod.Status = corev1.PodStatus{Phase: corev1.PodPending, PodIP: "10.1.2.3", HostIP: "192.168.0.1"}
		change(pod)
		return pod
	}
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"has an address":    {func(*corev1.Pod) {}, true},
		"no address":        {func(p *corev1.Pod) { p.Status.PodIP = "" }, false},
		"loopback":          {func(p *corev1.Pod) { p.Status.PodIP = "127.0.0.1" }, false},
		"metadata service":  {func(p *corev1.Pod) { p.Status.PodIP = "169.254.169.254" }, false},
		"the node":          {func(p *corev1.Pod) { p.Status.PodIP = "192.168.0.1" }, false},
		"ended":             {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false},
		"going away":        {func(p *corev1.Pod) { p.DeletionTimestamp = &p.CreationTimestamp }, false},
		"answers":           {func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{Condition(p, true)} }, false},
		"answers no longer": {func(p *corev1.Pod) { p.Status.Conditions = []corev1.PodCondition{Condition(p, false)} }, true},
		"restarted": {func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{Condition(p, true)}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, RestartCount: 1}}
		}, true},
	} {
		target, ok := ProbeTarget(make(c.change))
		if ok != c.want || ok && target.URL("/x") != "http://10.1.2.3:8888/x" {
			t.Errorf("%s: %v, %v", name, target, ok)
		}
	}
	// K8: a pod that promised a proof is asked for it.
	proven := func(uid types.UID) *corev1.Pod {
		return make(func(p *corev1.Pod) { p.UID, p.Annotations[contract.AnnotationProof] = uid, "true" })
	}
	if target, ok := ProbeTarget(proven("uid-1")); !ok || target.URL("/x") != "https://10.1.2.3:8888/x" || target.ProofName != "uid-1.pod.perijove.internal" {
		t.Errorf("a proven pod: %v, %v", target, ok)
	}
	if target, ok := ProbeTarget(proven("*")); ok {
		t.Errorf("a pod that every pod could be: %v", target)
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("ErrImagePull", "manifest unknown", int32(0), "Failed", "x")
	f.Add("CrashLoopBackOff", "", int32(137), "BackOff", "\xff\n")
	f.Fuzz(func(t *testing.T, reason, message string, code int32, event, text string) {
		pod := Pod(site, Spec{ID: server.ID{User: "alice"}, Nonce: nonce})
		pod.UID = types.UID("u")
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: container, RestartCount: code,
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: event, Message: text}},
		}}
		s := StatusOf(pod, []*corev1.Event{{Reason: event, Message: text, Type: "Warning"}, {Reason: reason}}, time.Unix(0, 0), time.Minute)
		last := 0
		for _, step := range s.Steps {
			if step.Percent < last || step.Percent > 100 || len(step.Detail) > 2100 {
				t.Errorf("step %+v after %d%%", step, last)
			}
			last = step.Percent
		}
	})
}
