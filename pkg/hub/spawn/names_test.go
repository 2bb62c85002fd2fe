package spawn

import (
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
)

// TestK1_NamesDoNotCollide: two servers never share a pod, nor two users a volume.
func TestK1_NamesDoNotCollide(t *testing.T) {
	t.Parallel()
	users := []string{"a", "a-b", "a--b", "A", "a b", "a-b-c", "张三", "a---b", strings.Repeat("a", 30), "jupyter-a"}
	servers := []string{"", "c", "b-c", "b", "-c", "b--c", "C"}
	pods, homes, secrets := map[string]string{}, map[string]string{}, map[string]string{}
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
		put(homes, HomeName(u), u)
		for _, s := range servers {
			id := server.ID{User: u, Name: s}
			put(pods, PodName(id), id.String())
			put(secrets, secretName(PodName(id), nonce), id.String())
			checkPod(t, Pod(site, Spec{ID: id, Nonce: nonce}), id)
		}
	}
}

// TestK1_NamesAreNotKubeSpawners: KubeSpawner deletes pods and uses claims by name alone, so
// nothing new has a name of its. What earlier versions made is still ours.
func TestK1_NamesAreNotKubeSpawners(t *testing.T) {
	t.Parallel()
	id := server.ID{User: "alice", Name: "demo"}
	pod, claim := Pod(site, Spec{ID: id, Nonce: nonce}), Claim(site, Profile{}, server.ID{User: "alice"})
	for _, name := range []string{pod.Name, claim.Name, settled(t, podKeys(t), pod).Name} {
		if strings.HasPrefix(name, "jupyter-") || strings.HasPrefix(name, "claim-") {
			t.Errorf("%s is a name that KubeSpawner gives", name)
		}
	}
	if got, ok := Identify(pod); !ok || got != id {
		t.Errorf("%s is %v, %v", pod.Name, got, ok)
	}
	pod.Name = "jupyter-alice--demo"
	if got, ok := Identify(pod); !ok || got != id {
		t.Errorf("a pod of an earlier version is %v, %v", got, ok)
	}
	if got := settled(t, podKeys(t), pod).Name; got != "jupyter-alice--demo-abcdefghij" {
		t.Errorf("its secret is %s", got)
	}
	pod.Name = "jupyter-bob"
	if _, ok := Identify(pod); ok {
		t.Error("a pod with another server's name is taken for ours")
	}
	kubespawners := Pod(site, Spec{ID: id, Nonce: nonce})
	kubespawners.Name, kubespawners.Labels[contract.LabelManagedBy] = "jupyter-alice--demo", "kubespawner"
	if _, ok := Identify(kubespawners); ok {
		t.Error("KubeSpawner's pod is taken for ours")
	}
}
