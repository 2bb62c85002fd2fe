//go:build cluster

package chart

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/perijove/perijove/pkg/contract"
)

// Run by `make e2e` against the release that `make up` installed.
const namespace = "perijove"

// as returns a client that acts as another user.
func as(t *testing.T, user string) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatalf("KUBECONFIG: %v (run this through make e2e)", err)
	}
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
	}
	return kubernetes.NewForConfigOrDie(config)
}

// editor makes a user with all ordinary rights in the namespace, status included.
func editor(t *testing.T) string {
	t.Helper()
	ctx, admin, name := context.Background(), as(t, ""), fmt.Sprintf("chart-test-%d", time.Now().UnixNano())
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"pods", "pods/status", "pods/binding"}, Verbs: []string{"*"},
	}}}
	if _, err := admin.RbacV1().Roles(namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.RbacV1().Roles(namespace).Delete(ctx, name, metav1.DeleteOptions{}) })
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
	}
	if _, err := admin.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.RbacV1().RoleBindings(namespace).Delete(ctx, name, metav1.DeleteOptions{}) })
	return name
}

func unscheduled(name string, labels, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"perijove.test/none": "true"}, // it never runs
			Containers:   []corev1.Container{{Name: "c", Image: "none"}},
		},
	}
}

// K3: who may edit pods may still not say whose server one is, in no way that pods can
// be written; the spawner and administrators may.
func TestClusterPublishingNeedsPermission(t *testing.T) {
	ctx, admin := context.Background(), as(t, "")
	mallory := as(t, editor(t)).CoreV1().Pods(namespace)
	name := fmt.Sprintf("chart-test-%d", time.Now().UnixNano())
	// Also the negative control: without our keys the editor's rights suffice.
	if _, err := mallory.Create(ctx, unscheduled(name, map[string]string{"app": "x"}, nil), metav1.CreateOptions{}); err != nil {
		t.Fatalf("create an ordinary pod: %v", err)
	}
	t.Cleanup(func() {
		_ = admin.CoreV1().Pods(namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
	patch := func(pods interface {
		Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*corev1.Pod, error)
	}, body string, subresource ...string) error {
		_, err := pods.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
		return err
	}
	if err := patch(mallory, `{"metadata":{"labels":{"app":"y"}}}`); err != nil {
		t.Fatalf("change an ordinary label: %v", err)
	}
	owner := map[string]string{contract.LabelUsername: "alice"}
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	create := func(labels, annotations map[string]string) error {
		_, err := mallory.Create(ctx, unscheduled(name+"-2", labels, annotations), dry)
		return err
	}
	refused(t, "create with a label", create(owner, nil))
	refused(t, "create with an annotation", create(nil, map[string]string{contract.AnnotationPort: "1"}))
	refused(t, "set a label", patch(mallory, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`))
	refused(t, "set an annotation", patch(mallory, `{"metadata":{"annotations":{"perijove.dev/strip-prefix":"true"}}}`))
	refused(t, "set a label through the status", patch(mallory, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`, "status"))
	refused(t, "set an annotation while binding", mallory.Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: owner}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"},
	}, dry))

	if err := patch(admin.CoreV1().Pods(namespace), `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`); err != nil {
		t.Fatalf("administrator: %v", err)
	}
	refused(t, "change a label", patch(mallory, `{"metadata":{"labels":{"hub.jupyter.org/username":"mallory"}}}`))
	refused(t, "remove a label", patch(mallory, `{"metadata":{"labels":{"hub.jupyter.org/username":null}}}`))
	if err := patch(mallory, `{"metadata":{"labels":{"app":"z"}}}`); err != nil {
		t.Errorf("change an ordinary label of a published pod: %v", err)
	}
	spawner := as(t, "system:serviceaccount:"+namespace+":perijove-spawner").CoreV1().Pods(namespace)
	if _, err := spawner.Create(ctx, unscheduled(name+"-2", owner, nil), dry); err != nil {
		t.Errorf("spawner: %v", err)
	}
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "servers.perijove.dev") {
		t.Errorf("%s: want the policy's refusal, have %v", what, err)
	}
}

// B8: neither service account reads a Secret that is not its own business.
func TestClusterServicesReadNoSecrets(t *testing.T) {
	ctx := context.Background()
	for account, own := range map[string]string{"perijove-gateway": "perijove-revocations", "perijove-spawner": ""} {
		secrets := as(t, "system:serviceaccount:"+namespace+":"+account).CoreV1().Secrets(namespace)
		for _, name := range []string{"perijove-session-keys", "perijove-server-key", "perijove-internal-ca", "perijove-revocations"} {
			_, err := secrets.Get(ctx, name, metav1.GetOptions{})
			if allowed := err == nil; allowed != (name == own) {
				t.Errorf("%s reads %s: %v", account, name, err)
			}
		}
		if _, err := secrets.List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s lists Secrets: %v", account, err)
		}
		accounts := as(t, "system:serviceaccount:"+namespace+":"+account).CoreV1().Secrets(namespace + "-accounts")
		if _, err := accounts.List(ctx, metav1.ListOptions{}); (err == nil) != (account == "perijove-gateway") {
			t.Errorf("%s lists accounts: %v", account, err)
		}
		if err := accounts.Delete(ctx, "nobody", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s deletes accounts: %v", account, err)
		}
	}
}
