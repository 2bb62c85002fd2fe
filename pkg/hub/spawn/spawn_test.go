package spawn

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/test/golden"
)

var site = Site{Namespace: "servers", JupyterConfigMap: "perijove-jupyter"}

const nonce = "abcdefghijklmnopqrstuvwxyz"

func TestObjects(t *testing.T) {
	golden.Each(t, "testdata/objects/*.txtar", func(t *testing.T, in map[string][]byte) []txtar.File {
		var profile Profile
		if err := config.Decode(in["profile.yaml"], &profile); err != nil {
			t.Fatal(err)
		}
		if faults := profile.Validate(); len(faults) > 0 {
			t.Fatal(faults)
		}
		var id server.ID
		id.User, id.Name, _ = strings.Cut(strings.TrimSpace(string(in["id"])), "/")
		pod := Pod(site, profile, id, nonce)
		pod.UID = "uid-1"
		checkPod(t, pod, id)
		secret := Secret(pod, id, bytes.Repeat([]byte("k"), 32))
		return []txtar.File{
			{Name: "want-claim.yaml", Data: encode(t, Claim(site, profile, id.User))},
			{Name: "want-pod.yaml", Data: encode(t, pod)},
			{Name: "want-secret.yaml", Data: encode(t, secret)},
		}
	})
}

// checkPod asserts what must hold for every pod, golden or not.
func checkPod(t *testing.T, pod *corev1.Pod, id server.ID) {
	t.Helper()
	got, err := podmeta.ReadID(pod)
	if err != nil || got != id || !OwnsPod(pod, id) {
		t.Errorf("the pod is %v, %v; want %v", got, err, id)
	}
	if *pod.Spec.AutomountServiceAccountToken {
		t.Error("K6: the pod has a token of the cluster's API")
	}
	if pod.Spec.ReadinessGates[0].ConditionType != contract.ConditionAnswering {
		t.Error("the pod would be routed before it answers")
	}
	c := pod.Spec.Containers[0]
	for _, e := range c.Env {
		if e.Name == "PERIJOVE_SERVER_SECRET" && e.Value != "" {
			t.Error("the secret is in the pod, where everybody who lists pods reads it")
		}
	}
}

func TestJudge(t *testing.T) {
	golden.Each(t, "testdata/judge/*.txtar", func(t *testing.T, in map[string][]byte) []txtar.File {
		pod := Pod(site, Profile{Override: Override{Image: "example.org/lab:1", MemLimit: "1G"}}, server.ID{User: "alice"}, nonce)
		if err := yaml.UnmarshalStrict(in["pod.yaml"], pod); err != nil {
			t.Fatal(err)
		}
		var events []*corev1.Event
		if err := yaml.UnmarshalStrict(in["events.yaml"], &events); err != nil {
			t.Fatal(err)
		}
		now := pod.CreationTimestamp.Add(30 * time.Second)
		s := StatusOf(pod, events, now, 5*time.Minute)
		var b strings.Builder
		fmt.Fprintf(&b, "%s waitsForSecret=%v stale=%v\n", s.Phase, WaitsForSecret(pod), IsStale(pod))
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
		return []txtar.File{{Name: "want", Data: []byte(b.String())}}
	})
}

func TestJudgeNoPod(t *testing.T) {
	if s := StatusOf(nil, nil, time.Now(), time.Minute); s.Phase != Stopped || len(s.Steps) != 0 {
		t.Errorf("no pod is %v", s)
	}
}

func TestJudgeTimeout(t *testing.T) {
	pod := Pod(site, Profile{}, server.ID{User: "alice"}, nonce)
	at := pod.CreationTimestamp.Time
	if s := StatusOf(pod, nil, at.Add(time.Minute), time.Minute); s.Phase != Pending {
		t.Errorf("in time: %v", s)
	}
	s := StatusOf(pod, nil, at.Add(time.Minute+time.Second), time.Minute)
	if s.Phase != Failed || s.Now().Message != MsgTimeout || s.Now().Data["Timeout"] != "1m0s" {
		t.Errorf("too late: %v", s)
	}
}

// TestK1_NamesDoNotCollide: two servers never share a pod, nor two users a volume.
func TestK1_NamesDoNotCollide(t *testing.T) {
	users := []string{"a", "a-b", "a--b", "A", "a b", "a-b-c", "张三", "a---b", strings.Repeat("a", 30), "jupyter-a"}
	servers := []string{"", "c", "b-c", "b", "-c", "b--c", "C"}
	pods, claims, secrets := map[string]string{}, map[string]string{}, map[string]string{}
	put := func(seen map[string]string, name, who string) {
		if other, ok := seen[name]; ok && other != who {
			t.Errorf("%s and %s share %s", other, who, name)
		}
		seen[name] = who
		if len(name) > 253 || strings.ToLower(name) != name {
			t.Errorf("%s is no object name", name)
		}
	}
	for _, u := range users {
		put(claims, ClaimName(u), u)
		for _, s := range servers {
			id := server.ID{User: u, Name: s}
			put(pods, PodName(id), id.String())
			put(secrets, SecretName(id, nonce), id.String())
			checkPod(t, Pod(site, Profile{}, id, nonce), id)
		}
	}
}

func TestOwnership(t *testing.T) {
	id := server.ID{User: "alice"}
	pod := Pod(site, Profile{}, id, nonce)
	foreign := pod.DeepCopy()
	foreign.Labels[contract.LabelManagedBy] = "Helm"
	relabelled := pod.DeepCopy()
	relabelled.Annotations[contract.LabelUsername] = "mallory"
	if !OwnsPod(pod, id) || OwnsPod(foreign, id) || OwnsPod(relabelled, id) || OwnsPod(pod, server.ID{User: "bob"}) {
		t.Error("ownership is judged wrongly")
	}
	claim := Claim(site, Profile{}, "alice")
	stranger := claim.DeepCopy()
	stranger.Labels = nil
	if !OwnsClaim(claim, "alice") || OwnsClaim(claim, "bob") || OwnsClaim(stranger, "alice") {
		t.Error("ownership of volumes is judged wrongly")
	}
}

func TestProbeTarget(t *testing.T) {
	make := func(change func(*corev1.Pod)) *corev1.Pod {
		pod := Pod(site, Profile{}, server.ID{User: "alice"}, nonce)
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
		addr, ok := ProbeTarget(make(c.change))
		if ok != c.want || ok && addr.String() != "10.1.2.3:8888" {
			t.Errorf("%s: %v, %v", name, addr, ok)
		}
	}
}

func TestProfileReportsEveryFault(t *testing.T) {
	p := Profile{Slug: "No!", Override: Override{
		ImagePullPolicy: "Sometimes", CPUGuarantee: 3, CPULimit: 2, MemGuarantee: "2G", MemLimit: "1G", StorageCapacity: "-1Gi",
	}}
	var got []string
	for _, f := range p.Validate() {
		got = append(got, f.Key)
	}
	want := []string{
		"display_name", "slug", "kubespawner_override.image", "kubespawner_override.image_pull_policy", "kubespawner_override.cpu_limit",
		"kubespawner_override.mem_limit", "kubespawner_override.storage_capacity",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMemory(t *testing.T) {
	for in, want := range map[Memory]int64{
		"": 0, "1": 1, "1K": 1024, "1.5K": 1536, "512M": 512 << 20, "2G": 2 << 30, "2Gi": 2 << 30, "1T": 1 << 40,
	} {
		if got, err := in.Bytes(); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []Memory{"x", "-1G", "1P", "1 G", "1GB", "1e9", "i", "999999999999T"} {
		if got, err := in.Bytes(); err == nil {
			t.Errorf("%q was read as %d", in, got)
		}
	}
}

func FuzzMemory(f *testing.F) {
	for _, s := range []string{"1G", "1.5Mi", "", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := Memory(s).Bytes(); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", s, n)
		}
	})
}

func FuzzJudge(f *testing.F) {
	f.Add("ErrImagePull", "manifest unknown", int32(0), "Failed", "x")
	f.Add("CrashLoopBackOff", "", int32(137), "BackOff", "\xff\n")
	f.Fuzz(func(t *testing.T, reason, message string, code int32, event, text string) {
		pod := Pod(site, Profile{}, server.ID{User: "alice"}, nonce)
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

func encode(t *testing.T, o any) []byte {
	t.Helper()
	b, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// JupyterLab's hub menu needs the hub's origin only where that is not the server's own.
func TestHubOrigin(t *testing.T) {
	for _, hub := range []string{"", "https://hub.test"} {
		own := site
		own.HubOrigin = hub
		got := ""
		for _, e := range Pod(own, Profile{}, server.ID{User: "alice"}, nonce).Spec.Containers[0].Env {
			if e.Name == "PERIJOVE_HUB_ORIGIN" {
				got = e.Value
			}
		}
		if got != hub {
			t.Errorf("the pod is told %q, want %q", got, hub)
		}
	}
}
