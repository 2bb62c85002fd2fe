package podmeta_test

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/podmeta"
)

// pod is a plain pod that an administrator labelled; change alters it.
func pod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "jupyter", Name: "rstudio", UID: "u1",
			CreationTimestamp: metav1.NewTime(time.Unix(1000, 0)),
			Labels:            map[string]string{contract.LabelUsername: "alice", contract.LabelServername: "rstudio"},
			Annotations:       map[string]string{},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 8787}}}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.1.2.3", HostIP: "192.0.2.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func TestLabelledPodIsAServer(t *testing.T) {
	s, err := podmeta.Read(pod())
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != (server.ID{User: "alice", Name: "rstudio"}) || s.Addr.String() != "10.1.2.3:8787" || s.Pod != "rstudio" || s.UID != "u1" || s.StripPrefix {
		t.Errorf("Read = %+v", s)
	}
}

// The label of a default server is empty, as KubeSpawner writes it; a named one's says its name.
func TestLabelsOfServers(t *testing.T) {
	for name, want := range map[string]string{"": "", "demo": "demo"} {
		labels, annotations := podmeta.Write(server.ID{User: "alice", Name: name})
		if labels[contract.LabelServername] != want || labels[contract.LabelUsername] != "alice" || annotations[contract.LabelServername] != name {
			t.Errorf("server %q: labels %v, annotations %v", name, labels, annotations)
		}
	}
}

// A pod as KubeSpawner 7 makes it: slugs in the labels, raw names in annotations of
// the same keys, the port named notebook-port.
func TestPodOfKubeSpawnerIsRoutedUnchanged(t *testing.T) {
	s, err := podmeta.Read(pod(func(p *corev1.Pod) {
		p.Labels = map[string]string{
			"component": "singleuser-server", "app.kubernetes.io/managed-by": "kubespawner",
			contract.LabelUsername: "alice-uni-example---1a2b3c4d", contract.LabelServername: "",
		}
		p.Annotations = map[string]string{contract.LabelUsername: "alice@uni.example", contract.LabelServername: ""}
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9999, Name: "metrics"}, {ContainerPort: 8888, Name: "notebook-port"}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.ID != (server.ID{User: "alice@uni.example"}) || s.Addr.Port() != 8888 {
		t.Errorf("Read = %+v", s)
	}
}

func TestPortComesFromNameThenAnnotationThenTheOnlyOne(t *testing.T) {
	two := func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}, {ContainerPort: 2}}
	}
	annotated := func(v string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations[contract.AnnotationPort] = v }
	}
	if _, err := podmeta.Read(pod(two)); err == nil {
		t.Error("a pod with two nameless ports was read")
	}
	for text, want := range map[string]uint16{"8000": 8000, "1": 1, "65535": 65535} {
		if s, err := podmeta.Read(pod(two, annotated(text))); err != nil || s.Addr.Port() != want {
			t.Errorf("annotated port %s: %v, %v", text, s.Addr, err)
		}
	}
	for _, bad := range []string{"0", "65536", "-1", "http", "", "8000 "} {
		if _, err := podmeta.Read(pod(annotated(bad))); err == nil {
			t.Errorf("port annotation %q was accepted", bad)
		}
	}
}

// X4, X7, K9: a pod that must never have a route is a fault with a reason.
func TestX7_HostilePodsAreRefused(t *testing.T) {
	ip := func(v string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Status.PodIP = v } }
	for name, change := range map[string]func(*corev1.Pod){
		"loopback":            ip("127.0.0.1"),
		"IPv6 loopback":       ip("::1"),
		"mapped loopback":     ip("::ffff:127.0.0.1"),
		"link-local metadata": ip("169.254.169.254"),
		"multicast":           ip("224.0.0.1"),
		"unspecified":         ip("0.0.0.0"),
		"the node":            ip("192.0.2.1"),
		"no address":          ip("alice.example"),
		"host network":        func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"path in name":        func(p *corev1.Pod) { p.Annotations[contract.LabelUsername] = "../bob" },
		"empty user":          func(p *corev1.Pod) { p.Labels[contract.LabelUsername] = "" },
		"300 bytes":           func(p *corev1.Pod) { p.Annotations[contract.LabelServername] = string(make([]byte, 300)) },
		"proof yes":           func(p *corev1.Pod) { p.Annotations[contract.AnnotationProof] = "yes" },
		"proof of every pod":  func(p *corev1.Pod) { p.Annotations[contract.AnnotationProof], p.UID = "true", "*" },
		"strip-prefix yes":    func(p *corev1.Pod) { p.Annotations[contract.AnnotationStripPrefix] = "yes" },
	} {
		_, err := podmeta.Read(pod(change))
		if err == nil || errors.Is(err, podmeta.ErrNotReady) {
			t.Errorf("%s: Read = %v, want a fault", name, err)
		}
	}
}

// K8: what a pod must prove follows from its UID, which nobody chooses. A pod that promises
// no proof is reached in plain HTTP.
func TestK8_ProofIsOfThePodsUID(t *testing.T) {
	for value, want := range map[string]string{"true": "u1.pod.perijove.internal", "false": "", "": ""} {
		s, err := podmeta.Read(pod(func(p *corev1.Pod) { p.Annotations[contract.AnnotationProof] = value }))
		if err != nil || s.ProofName != want {
			t.Errorf("proof %q: the pod must prove %q, %v; want %q", value, s.ProofName, err, want)
		}
	}
}

func TestOnlyReadyPodsAreRouted(t *testing.T) {
	gate := func(status corev1.ConditionStatus) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: contract.ConditionAnswering}}
			p.Status.Conditions = []corev1.PodCondition{
				{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
				{Type: contract.ConditionAnswering, Status: status},
				{Type: corev1.PodReady, Status: corev1.ConditionFalse}, // the kubelet lags
			}
		}
	}
	if _, err := podmeta.Read(pod(gate(corev1.ConditionTrue))); err != nil {
		t.Errorf("a pod whose gates are true waits for the kubelet: %v", err)
	}
	now := metav1.Now()
	for name, change := range map[string]func(*corev1.Pod){
		"gate false":  gate(corev1.ConditionFalse),
		"not ready":   func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse },
		"no status":   func(p *corev1.Pod) { p.Status = corev1.PodStatus{} },
		"terminating": func(p *corev1.Pod) { p.DeletionTimestamp = &now },
		"failed":      func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		"no IP yet":   func(p *corev1.Pod) { p.Status.PodIP = "" },
	} {
		if _, err := podmeta.Read(pod(change)); !errors.Is(err, podmeta.ErrNotReady) {
			t.Errorf("%s: Read = %v, want ErrNotReady", name, err)
		}
	}
}

func FuzzWriteIsReadBack(f *testing.F) {
	f.Add("alice", "")
	f.Add("al ice", "demo")
	f.Add("张伟", "a--b")
	f.Fuzz(func(t *testing.T, user, name string) {
		id := server.ID{User: user, Name: name}
		if id.Valid() != nil {
			return
		}
		labels, annotations := podmeta.Write(id)
		got, err := podmeta.ReadID(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations}})
		if err != nil || got != id {
			t.Errorf("wrote %v, read %v, %v", id, got, err)
		}
		for key, value := range labels {
			if len(value) > 63 {
				t.Errorf("label %s has %d bytes", key, len(value))
			}
		}
	})
}
