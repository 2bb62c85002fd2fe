package spawn

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
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
		pod := Pod(site, Spec{ID: id, Profile: profile, Nonce: nonce})
		pod.UID = "uid-1"
		checkPod(t, pod, id)
		secret := Secret(pod, bytes.Repeat([]byte("k"), 32))
		claim := []byte("none\n")
		if profile.Override.Persistent() {
			claim = encode(t, Claim(site, profile, id.User))
		}
		return []txtar.File{
			{Name: "want-claim.yaml", Data: claim},
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

func TestOwnership(t *testing.T) {
	id := server.ID{User: "alice"}
	pod := Pod(site, Spec{ID: id, Nonce: nonce})
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
		for _, e := range Pod(own, Spec{ID: server.ID{User: "alice"}, Nonce: nonce}).Spec.Containers[0].Env {
			if e.Name == "PERIJOVE_HUB_ORIGIN" {
				got = e.Value
			}
		}
		if got != hub {
			t.Errorf("the pod is told %q, want %q", got, hub)
		}
	}
}
