package kube

import (
	"context"
	"errors"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttest "k8s.io/client-go/testing"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// TestR5_KilledAfterEachWrite kills the spawner after its first, second, … write and
// lets another one take over, by a new request or by what the kubelet says. Whatever
// the moment: one volume, one pod, one secret that belongs to it.
func TestR5_KilledAfterEachWrite(t *testing.T) {
	t.Parallel()
	complaints := map[string]func(*testing.T, *fake.Clientset){
		"the container's status": lacksVariable, "an event about the volume": lacksVolume,
	}
	for _, takeover := range []string{"request", "the container's status", "an event about the volume"} {
		for crash := 1; ; crash++ {
			client := newClient()
			ctx, kill := context.WithCancel(t.Context())
			writes := 0
			dead := errors.New("spawner was killed")
			client.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
				if a.GetVerb() == "create" && ctx.Err() == nil {
					if writes++; writes > crash {
						kill()
					}
				}
				if ctx.Err() != nil && t.Context().Err() == nil && writes > crash {
					return true, nil, dead
				}
				return false, nil, nil
			})
			first, stop := boot(t, client, proving(t))
			err := first.Start(ctx, ask(alice))
			stop()
			if writes <= crash { // nothing was left to kill
				if err != nil {
					t.Errorf("%s: uninterrupted start: %v", takeover, err)
				}
				kill()
				break
			}
			kill()
			client.ReactionChain = client.ReactionChain[1:] // the API is fine; the first spawner is gone
			second, _ := boot(t, client, proving(t))
			if takeover == "request" || len(pods(t, client)) == 0 {
				if err := second.Start(t.Context(), ask(alice)); err != nil {
					t.Errorf("%s, crash after write %d: second start: %v", takeover, crash, err)
				}
			} else {
				complaints[takeover](t, client)
			}
			began := time.Now()
			checkWhole(t, client)
			if took := time.Since(began); took > resync/2 {
				t.Errorf("%s, crash after write %d: nobody heard of it for %v", takeover, crash, took)
			}
		}
	}
}

// proving are settings of an installation whose pods promise a proof.
func proving(t *testing.T) Settings {
	t.Helper()
	s := settings(t)
	s.Site.Proof = true
	return s
}

// waiting is the status of a container that cannot be made.
func waiting(t *testing.T, client *fake.Clientset, reason, message string) {
	t.Helper()
	setStatus(t, client, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodPending
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
		}}}
	})
}

// lacksVariable is what the kubelet says when a variable's secret is missing.
func lacksVariable(t *testing.T, client *fake.Clientset) {
	t.Helper()
	waiting(t, client, "CreateContainerConfigError", `secret "`+secretOf(t, client)+`" not found`)
}

// lacksVolume is what it says of a volume's.
func lacksVolume(t *testing.T, client *fake.Clientset) {
	t.Helper()
	waiting(t, client, "ContainerCreating", "")
	pod := onlyPod(t, client)
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: ns, Name: "mount"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: pod.Name, UID: pod.UID},
		Reason:         "FailedMount", Message: `MountVolume.SetUp failed for volume "proof" : secret "` + secretOf(t, client) + `" not found`,
	}
	if _, err := client.CoreV1().Events(ns).Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// secretOf is the name of the secret that the pod refers to.
func secretOf(t *testing.T, client *fake.Clientset) string {
	t.Helper()
	for _, v := range onlyPod(t, client).Spec.Volumes {
		if v.Secret != nil {
			return v.Secret.SecretName
		}
	}
	t.Fatal("the pod refers to no secret")
	return ""
}

// checkWhole waits until there is exactly what one server needs, and no more.
func checkWhole(t *testing.T, client *fake.Clientset) {
	t.Helper()
	ctx := t.Context()
	var secrets *corev1.SecretList
	wait.Until(t, "the pod's secret", func() bool {
		var err error
		secrets, err = client.CoreV1().Secrets(ns).List(ctx, metav1.ListOptions{})
		return err == nil && len(secrets.Items) > 0
	})
	claims, err := client.CoreV1().PersistentVolumeClaims(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := onlyPod(t, client)
	if len(claims.Items) != 1 || len(secrets.Items) != 1 {
		t.Fatalf("%d volumes, %d secrets", len(claims.Items), len(secrets.Items))
	}
	s := secrets.Items[0]
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != pod.UID {
		t.Errorf("the secret is not the pod's: %v", s.OwnerReferences)
	}
	if want := contract.ServerSecret(settings(t).Keys.Server, ns, pod.Name, pod.Annotations[contract.AnnotationNonce]); s.StringData["secret"] != want {
		t.Error("the secret is not what the xds-server will derive")
	}
}
