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

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// TestR5_KilledAfterEachWrite kills the spawner after its first, second, … write and
// lets another one take over, by a new request or by what the kubelet says. Whatever
// the moment: one volume, one pod, one secret that belongs to it.
func TestR5_KilledAfterEachWrite(t *testing.T) {
	for _, takeover := range []string{"request", "kubelet"} {
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
			first, stop := boot(t, client, settings())
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
			second, _ := boot(t, client, settings())
			if takeover == "request" || len(pods(t, client)) == 0 {
				if err := second.Start(t.Context(), ask(alice)); err != nil {
					t.Errorf("%s, crash after write %d: second start: %v", takeover, crash, err)
				}
			} else {
				name := onlyPod(t, client).Spec.Containers[0].Env[4].ValueFrom.SecretKeyRef.Name
				setStatus(t, client, func(s *corev1.PodStatus) {
					s.Phase = corev1.PodPending
					s.ContainerStatuses = []corev1.ContainerStatus{{Name: "notebook", State: corev1.ContainerState{
						Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "` + name + `" not found`},
					}}}
				})
			}
			checkWhole(t, client)
		}
	}
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
	if want := contract.ServerSecret(settings().MasterKey, ns, pod.Name, pod.Annotations[contract.AnnotationNonce]); s.StringData["secret"] != want {
		t.Error("the secret is not what the xds-server will derive")
	}
}
