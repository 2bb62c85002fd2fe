package spawn

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/pool"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// pooledDocument has a profile with a pool, a group with another environment, and one with a shared volume.
func pooledDocument() Document {
	return Document{
		Profiles: Catalog{{DisplayName: "Lab", Slug: "lab", Pool: pool.Plan{Size: 2}, Override: Override{
			Image: "example.org/lab:1", StorageType: storageNone, Cmd: []string{"jupyter-lab"}, Args: []string{"--debug"}, Environment: map[string]string{"TEAM": "all"},
		}}},
		GroupOverrides: map[string]GroupOverride{"chemists": {Groups: []string{"chemistry"}, Profiles: []string{"lab"}, Override: Override{Environment: map[string]string{"TEAM": "chemistry"}}}},
		SharedVolumes:  []SharedVolume{{Name: "data", Claim: "data", Writers: []string{"physics"}}},
	}
}

func pooledPolicyOf(t *testing.T, d Document) Policy {
	t.Helper()
	p, faults := d.Policy()
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

// templateOf is the template of a user's server; false where none can wait.
func templateOf(t *testing.T, where Site, p Policy, user access.User, o Options) (Template, bool) {
	t.Helper()
	profile, err := p.Resolve(user, o)
	if err != nil {
		t.Fatal(err)
	}
	return Spec{ID: server.ID{User: user.Name}, Profile: profile, Options: o}.Template(where)
}

// TestOneKeyForOneKindOfServer: users whose servers differ in nothing that a pod cannot change later have one key, and
// others have other keys. Without this a user would get another group's volume or an old image.
func TestOneKeyForOneKindOfServer(t *testing.T) {
	base := pooledPolicyOf(t, pooledDocument())
	all := base.Pools(site)
	if len(all) != 1 || !base.HasPools() {
		t.Fatalf("%d pools", len(all))
	}
	want := all[0].Key
	key := func(where Site, p Policy, user access.User, o Options) string {
		got, _ := templateOf(t, where, p, user, o)
		return got.Key
	}
	for _, user := range []access.User{{Name: "alice"}, {Name: "bob", Groups: []string{"history"}}} {
		if got := key(site, base, user, Options{}); got != want {
			t.Errorf("%s cannot have a waiting pod: %s, want %s", user.Name, got, want)
		}
	}
	changed := func(change func(*Document)) Policy {
		d := pooledDocument()
		change(&d)
		return pooledPolicyOf(t, d)
	}
	proven, revised := site, site
	proven.Proof, revised.Revision = true, "2"
	alice := access.User{Name: "alice"}
	keys := map[string]string{"base": want}
	for what, got := range map[string]string{
		"a group's volume":      key(site, base, access.User{Name: "carol", Groups: []string{"physics"}}, Options{}),
		"a group's environment": key(site, base, access.User{Name: "dora", Groups: []string{"chemistry"}}, Options{}),
		"another image":         key(site, changed(func(d *Document) { d.Profiles[0].Override.Image = "example.org/lab:2" }), alice, Options{}),
		"more memory":           key(site, changed(func(d *Document) { d.Profiles[0].Override.MemLimit = "2G" }), alice, Options{}),
		"another command":       key(site, changed(func(d *Document) { d.Profiles[0].Override.Args = nil }), alice, Options{}),
		"another profile":       key(site, changed(func(d *Document) { d.Profiles[0].Slug, d.GroupOverrides = "other", nil }), alice, Options{}),
		"a proof":               key(proven, base, alice, Options{}),
		"another chart":         key(revised, base, alice, Options{}),
	} {
		for other, has := range keys {
			if got == has {
				t.Errorf("%s has the key of %s", what, other)
			}
		}
		keys[what] = got
	}
	if _, ok := templateOf(t, site, base, alice, Options{Safe: true}); ok {
		t.Error("a safe start takes a waiting pod")
	}
	if same := changed(func(d *Document) { d.Profiles[0].MaxAge = "1h" }); key(site, same, alice, Options{}) != want {
		t.Error("an age, which counts from the claim, makes other pods")
	}
}

// TestK4_AWaitingPodIsNobodys: no user's name, no server's secret, no right; and nothing that the gateway would publish.
func TestK4_AWaitingPodIsNobodys(t *testing.T) {
	proven := site
	proven.Proof = true
	made := pooledPolicyOf(t, pooledDocument()).Pools(proven)[0]
	pod := made.Pod(made.Prefix+"0", nonce, 3)
	pod.UID = "uid-1"
	if _, err := podmeta.ReadID(pod); err == nil {
		t.Error("the gateway would publish it")
	}
	if _, ours := Identify(pod); ours || IsClaimed(pod) || !IsPooled(pod) {
		t.Error("it is taken for a server")
	}
	if pod.Labels[contract.LabelComponent] == contract.ComponentServer || *pod.Spec.AutomountServiceAccountToken {
		t.Error("it has the place or the rights of a server")
	}
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"nobody", "PERIJOVE_USER", "JUPYTERHUB_", envSecret, "/user/"} {
		if strings.Contains(string(text), word) {
			t.Errorf("the pod says %s", word)
		}
	}
	k := podKeys(t)
	secret := settled(t, k, pod)
	if _, has := secret.StringData[secretKey]; has || secret.StringData[secretOrder] != k.OrderKey(pod) || secret.StringData[secretCert] == "" {
		t.Errorf("its secret has %d entries", len(secret.StringData))
	}
	neighbour := made.Pod(made.Prefix+"1", strings.Repeat("z", 26), 0)
	if k.OrderKey(pod) == k.OrderKey(neighbour) || k.OrderKey(pod) == secret.StringData[secretCert] {
		t.Error("a neighbour's key would give it an order")
	}
}

// claimedPod is a waiting pod with the patch of a claim in it.
func claimedPod(t *testing.T, s Spec, waited time.Duration, now time.Time) *corev1.Pod {
	t.Helper()
	pod := NewTemplate(site, s.Profile).Pod("pool-lab-0", "order", 0)
	pod.UID, pod.ResourceVersion = "uid-1", "7"
	began := metav1.NewTime(now.Add(-waited))
	pod.CreationTimestamp, pod.Status.StartTime = began, &began
	patch := Claimed(pod, site, s, now)
	meta := patch["metadata"].(map[string]any)
	if meta["uid"] != pod.UID || meta["resourceVersion"] != "7" {
		t.Error("the claim is of any version of the pod")
	}
	for key, value := range meta["labels"].(map[string]string) {
		pod.Labels[key] = value
	}
	for key, value := range meta["annotations"].(map[string]string) {
		pod.Annotations[key] = value
	}
	if spec, ok := patch["spec"].(map[string]any); ok {
		pod.Spec.ActiveDeadlineSeconds = new(spec["activeDeadlineSeconds"].(int64))
	}
	return pod
}

// TestAClaimedPodIsAsACold: what everybody reads of a server's pod is as if it had been made for it, and its time counts from the claim.
func TestAClaimedPodIsAsACold(t *testing.T) {
	now := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	d := pooledDocument()
	d.Profiles[0].MaxAge = "1h"
	profile, err := pooledPolicyOf(t, d).Resolve(access.User{Name: "alice"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := Spec{ID: server.ID{User: "alice", Name: "demo"}, Profile: profile, Nonce: nonce, DisplayName: "Démo", SharedRules: []string{"crew"}}
	pod, cold := claimedPod(t, s, 5*time.Hour, now), Pod(site, s)
	if id, ok := Identify(pod); !ok || id != s.ID || !IsClaimed(pod) {
		t.Fatalf("the pod is %v", id)
	}
	for key, value := range cold.Annotations {
		if pod.Annotations[key] != value {
			t.Errorf("annotation %s is %q, want %q", key, pod.Annotations[key], value)
		}
	}
	for key, value := range cold.Labels {
		if pod.Labels[key] != value {
			t.Errorf("label %s is %q, want %q", key, pod.Labels[key], value)
		}
	}
	if !Began(pod).Equal(now) || mayAge(pod) != time.Hour || !ends(pod).Equal(now.Add(time.Hour)) {
		t.Errorf("it began at %v, may run for %v, ends at %v", Began(pod), mayAge(pod), ends(pod))
	}
	if a, b := AskOf(pod, s.ID), AskOf(cold, s.ID); a.Lasts != b.Lasts || a.Weight != b.Weight || a.Nonce != b.Nonce || a.Pod != pod.Name || b.Pod != "" {
		t.Errorf("it asks for %+v, a cold one for %+v", a, b)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: pod.CreationTimestamp}}}}
	if got := StatusOf(pod, nil, now.Add(time.Second), time.Minute); got.Phase != Pending {
		t.Errorf("a second after the claim it is %s: %+v", got.Phase, got.Now())
	}
	if got := StatusOf(pod, nil, now.Add(2*time.Minute), time.Minute); got.Phase != Failed {
		t.Errorf("negative control: two minutes after the claim it is %s", got.Phase)
	}
}

// TestPoolsThatCannotBe: each fault is said with its key.
func TestPoolsThatCannotBe(t *testing.T) {
	for key, change := range map[string]func(*Profile){
		"profiles[0].pool":               func(p *Profile) { p.Program = &Program{} },
		"profiles[0].pool ":              func(p *Profile) { p.Override.Cmd = []string{"rserver"} },
		"profiles[0].pool  ":             func(p *Profile) { p.Override.StorageType = storageStatic; p.Override.StorageClaim = "homes" },
		"profiles[0].pool.size":          func(p *Profile) { p.Pool.Size = 501 },
		"profiles[0].pool.hours[0].from": func(p *Profile) { p.Pool.Hours = []pool.Hours{{From: "8", To: "18:00"}} },
		"profiles[0].pool.group":         func(p *Profile) { p.AllowedGroups, p.Pool.Group = []string{"physics"}, "chess" },
	} {
		d := pooledDocument()
		change(&d.Profiles[0])
		_, faults := d.Policy()
		if len(faults) != 1 || faults[0].Key != strings.TrimSpace(key) {
			t.Errorf("%s: faults %v", key, faults)
		}
	}
}
