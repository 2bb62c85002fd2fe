package spawn

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"maps"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/proof"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
	"github.com/perijove/perijove/pkg/web/origin"
	"github.com/perijove/perijove/test/golden"
	"github.com/perijove/perijove/test/pki"
)

var site = Site{
	Namespace: "servers", JupyterConfigMap: "perijove-jupyter", Public: origin.Site{Scheme: "https", Hosts: []string{"hub.test", "hub.test:443"}},
}

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
		where := site
		where.Proof = in["proof"] != nil
		pod := Pod(where, Spec{ID: id, Profile: profile, Nonce: nonce})
		pod.UID = "uid-1"
		checkPod(t, pod, id)
		secret := settled(t, podKeys(t), pod)
		claim := []byte("none\n")
		if profile.Override.HasVolume() {
			claim = encode(t, Claim(site, profile, id))
		}
		return []txtar.File{
			{Name: "want-claim.yaml", Data: claim},
			{Name: "want-pod.yaml", Data: encode(t, pod)},
			{Name: "want-secret.yaml", Data: encode(t, secret)},
		}
	})
}

// podKeys are those of a test's installation.
func podKeys(t *testing.T) Keys {
	t.Helper()
	pair := pki.New(t).Pair()
	ca, err := proof.New(pair.Chain, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return Keys{Server: bytes.Repeat([]byte("k"), 32), CA: ca, Clients: []byte("(CA of services)")}
}

// settled is the pod's secret without what differs each time.
func settled(t *testing.T, k Keys, pod *corev1.Pod) *corev1.Secret {
	t.Helper()
	secret, err := k.Secret(pod)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{secretCert, secretCertKey} {
		if block, _ := pem.Decode([]byte(secret.StringData[key])); block != nil {
			secret.StringData[key] = "(" + block.Type + ")"
		}
	}
	return secret
}

// K8: the certificate in a pod's secret is for that pod's UID; a pod without a proof, made
// before there was one, gets none, and one whose UID makes no name gets no secret.
func TestK8_SecretHoldsTheProofOfItsPod(t *testing.T) {
	id, k := server.ID{User: "alice"}, podKeys(t)
	proven := site
	proven.Proof = true
	pod := Pod(proven, Spec{ID: id, Nonce: nonce})
	pod.UID = "uid-1"
	secret, err := k.Secret(pod)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(secret.StringData[secretCert]), []byte(secret.StringData[secretCertKey]))
	if err != nil {
		t.Fatal(err)
	}
	want, err := podmeta.ProofName(pod)
	if err != nil || want == "" || len(pair.Leaf.DNSNames) != 1 || pair.Leaf.DNSNames[0] != want {
		t.Errorf("the certificate names %v; Envoy will ask for %q, %v", pair.Leaf.DNSNames, want, err)
	}
	plain := Pod(site, Spec{ID: id, Nonce: nonce})
	if name, err := podmeta.ProofName(plain); name != "" || err != nil {
		t.Errorf("a pod without a proof promises %q, %v", name, err)
	}
	if secret := settled(t, k, plain); len(secret.StringData) != 1 {
		t.Errorf("its secret has %d entries", len(secret.StringData))
	}
	pod.UID = "*"
	if _, err := k.Secret(pod); err == nil {
		t.Error("the UID * got a certificate, which would be every pod's")
	}
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
	claim := Claim(site, Profile{}, server.ID{User: "alice"})
	stranger := claim.DeepCopy()
	stranger.Labels = nil
	if !OwnsClaim(claim, id) || OwnsClaim(claim, server.ID{User: "bob"}) || OwnsClaim(stranger, id) {
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

// variables are those of a server's container.
func variables(t *testing.T, where Site, s Spec) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, e := range Pod(where, s).Spec.Containers[0].Env {
		if _, twice := all[e.Name]; twice {
			t.Errorf("%s is set twice", e.Name)
		}
		all[e.Name] = e.Value
	}
	return all
}

// JupyterLab's hub menu needs the hub's origin only where that is not the server's own. Libraries
// read JupyterHub's variables, and a profile may say something else.
func TestWhereAServerIs(t *testing.T) {
	demo := server.ID{User: "alice", Name: "my demo"}
	own, err := site.Public.WithUserDomain("users.test")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		public origin.Site
		want   map[string]string
	}{
		"one host": {site.Public, map[string]string{"JUPYTERHUB_HOST": "", "JUPYTERHUB_PUBLIC_URL": "https://hub.test/user/alice/my%20demo/"}},
		"a host each": {own, map[string]string{
			"JUPYTERHUB_HOST": "https://hub.test", "PERIJOVE_HUB_ORIGIN": "https://hub.test", "JUPYTERHUB_PUBLIC_URL": "https://alice.users.test/user/alice/my%20demo/",
		}},
	} {
		where := site
		where.Public = c.public
		env := variables(t, where, Spec{ID: demo, Nonce: nonce})
		maps.Copy(c.want, map[string]string{
			"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVER_NAME": "my demo", "JUPYTERHUB_BASE_URL": "/", "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/my%20demo/",
			"JUPYTERHUB_API_URL": "https://hub.test/hub/api", "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.test/hub/",
		})
		for key, want := range c.want {
			if env[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, env[key], want)
			}
		}
		if _, told := env["PERIJOVE_HUB_ORIGIN"]; told != c.public.PerUser() {
			t.Errorf("%s: told of another origin: %v", name, told)
		}
	}
	p := profileOf(t, `{environment: {JUPYTERHUB_API_URL: http://inside.test, JUPYTERHUB_SINGLEUSER_APP: x}}`)
	env := variables(t, site, Spec{ID: demo, Profile: p, Nonce: nonce})
	if env["JUPYTERHUB_API_URL"] != "http://inside.test" || env["JUPYTERHUB_SINGLEUSER_APP"] != "x" || env["JUPYTERHUB_USER"] != "alice" {
		t.Errorf("with a profile's own: %v", env)
	}
}
