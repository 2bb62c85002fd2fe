package nodes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/perijove/perijove/test/wait"
)

func pod(user string, gates ...corev1.PodReadinessGate) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "pod", UID: "uid"},
		Spec: corev1.PodSpec{ReadinessGates: gates, Containers: []corev1.Container{{Name: "notebook", Env: []corev1.EnvVar{
			{Name: ourUser, Value: user},
			{Name: ourToken, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "secret"}}},
		}}}},
	}
}

// TestLife: a pod runs when its Secret is there and not before, and is ready when its gate opens.
func TestLife(t *testing.T) {
	gate := corev1.PodReadinessGate{ConditionType: "example.org/Answering"}
	client := fake.NewClientset(pod("alice", gate))
	n := &nodes{client: client, servers: newServers(), log: t.Output(), lives: map[types.UID]bool{}}
	get := func() *corev1.Pod {
		p, err := client.CoreV1().Pods("ns").Get(t.Context(), "pod", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	n.follow(t.Context(), get())
	wait.Until(t, "it is scheduled", func() bool { return is(get(), corev1.PodScheduled) })
	wait.Until(t, "it says what is missing", func() bool {
		events, err := client.CoreV1().Events("ns").List(t.Context(), metav1.ListOptions{})
		return err == nil && len(events.Items) > 0 && strings.HasSuffix(events.Items[0].Message, `"s" not found`)
	})
	if p := get(); p.Status.PodIP != "" || p.Status.ContainerStatuses[0].State.Waiting == nil {
		t.Fatal("it runs without its secret")
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{"secret": []byte("x")}}
	if _, err := client.CoreV1().Secrets("ns").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wait.Until(t, "it runs", func() bool { return get().Status.Phase == corev1.PodRunning })
	n.follow(t.Context(), get())
	if is(get(), corev1.PodReady) {
		t.Error("it is ready although its gate is closed")
	}
	n.report(t.Context(), get(), corev1.PodStatus{Conditions: []corev1.PodCondition{condition(gate.ConditionType)}})
	n.follow(t.Context(), get())
	wait.Until(t, "it is ready", func() bool { return is(get(), corev1.PodReady) })
}
