//go:build cluster

package chart

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/test/wait"
)

// Run by `make e2e` against the release that `make up` installed: where the platform is,
// and where its servers are.
const (
	namespace = "perijove"
	servers   = "perijove-servers"
)

var dry = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

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

func serviceAccount(name string) string { return "system:serviceaccount:" + namespace + ":" + name }

func unique() string { return fmt.Sprintf("chart-test-%d", time.Now().UnixNano()) }

// editor makes a user with all ordinary rights on pods where servers live.
func editor(t *testing.T) string {
	t.Helper()
	name := unique()
	grant(t, servers, name)
	return name
}

// grant gives a user all ordinary rights on the pods of a namespace.
func grant(t *testing.T, space, user string) {
	t.Helper()
	ctx, admin, name := context.Background(), as(t, "").RbacV1(), unique()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"pods", "pods/status", "pods/binding", "pods/ephemeralcontainers"}, Verbs: []string{"*"},
	}}}
	if _, err := admin.Roles(space).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Roles(space).Delete(ctx, name, metav1.DeleteOptions{}) })
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	if _, err := admin.RoleBindings(space).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.RoleBindings(space).Delete(ctx, name, metav1.DeleteOptions{}) })
	wait.Until(t, "the API server knows of the right", func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: space, Verb: "update", Resource: "pods", Subresource: "ephemeralcontainers"},
		}}
		got, err := as(t, "").AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		return err == nil && got.Status.Allowed
	})
}

// unscheduled is a pod that the "restricted" standard admits and no node ever runs.
func unscheduled(name string, labels, annotations map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations},
		Spec: corev1.PodSpec{
			NodeSelector:                 map[string]string{"perijove.test/none": "true"},
			AutomountServiceAccountToken: new(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{Name: "c", Image: "none", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			}}},
		},
	}
}

// create makes an unscheduled pod for the length of a test.
func create(t *testing.T, pods typedcorev1.PodInterface, pod *corev1.Pod) {
	t.Helper()
	if _, err := pods.Create(context.Background(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatalf("create %s: %v", pod.Name, err)
	}
	t.Cleanup(func() {
		_ = as(t, "").CoreV1().Pods(servers).Delete(context.Background(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
	})
}

func patch(pods typedcorev1.PodInterface, name, body string, subresource ...string) error {
	_, err := pods.Patch(context.Background(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
	return err
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "servers.perijove.dev") {
		t.Errorf("%s: want the policy's refusal, have %v", what, err)
	}
}

// K3: an account that may edit pods cannot publish one, in no way that pods can be written;
// the spawner and administrators may.
func TestClusterPublishingNeedsPermission(t *testing.T) {
	ctx, admin := context.Background(), as(t, "").CoreV1().Pods(servers)
	mallory, name := as(t, editor(t)).CoreV1().Pods(servers), unique()
	// Also the negative control: without our keys the editor's rights suffice.
	create(t, mallory, unscheduled(name, map[string]string{"app": "x"}, nil))
	if err := patch(mallory, name, `{"metadata":{"labels":{"app":"y"}}}`); err != nil {
		t.Fatalf("change an ordinary label: %v", err)
	}
	owner := map[string]string{contract.LabelUsername: "alice"}
	try := func(labels, annotations map[string]string) error {
		_, err := mallory.Create(ctx, unscheduled(name+"-2", labels, annotations), dry)
		return err
	}
	refused(t, "create with a label", try(owner, nil))
	refused(t, "create with an annotation", try(nil, map[string]string{contract.AnnotationPort: "1"}))
	refused(t, "set a label", patch(mallory, name, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`))
	refused(t, "set an annotation", patch(mallory, name, `{"metadata":{"annotations":{"perijove.dev/strip-prefix":"true"}}}`))
	refused(t, "set a label through the status", patch(mallory, name, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`, "status"))
	refused(t, "set an annotation while binding", mallory.Bind(ctx, &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: owner}, Target: corev1.ObjectReference{Kind: "Node", Name: "none"},
	}, dry))

	if err := patch(admin, name, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`); err != nil {
		t.Fatalf("administrator: %v", err)
	}
	refused(t, "change a label", patch(mallory, name, `{"metadata":{"labels":{"hub.jupyter.org/username":"mallory"}}}`))
	refused(t, "remove a label", patch(mallory, name, `{"metadata":{"labels":{"hub.jupyter.org/username":null}}}`))
	if err := patch(mallory, name, `{"metadata":{"labels":{"app":"z"}}}`); err != nil {
		t.Errorf("change an ordinary label of a published pod: %v", err)
	}
	spawner := as(t, serviceAccount("perijove-spawner")).CoreV1().Pods(servers)
	if _, err := spawner.Create(ctx, unscheduled(name+"-2", owner, nil), dry); err != nil {
		t.Errorf("spawner: %v", err)
	}
}

// K3: with a published pod's status, image or containers an account could put its own page
// at a user's path. Only the pod's node writes its addresses.
func TestClusterPublishedPodsKeepTheirAddressAndImages(t *testing.T) {
	admin, name := as(t, "").CoreV1().Pods(servers), unique()
	user := editor(t)
	mallory := as(t, user).CoreV1().Pods(servers)
	create(t, mallory, unscheduled(name, nil, nil))
	const (
		image     = `{"spec":{"containers":[{"name":"c","image":"%s"}]}}`
		container = `{"spec":{"ephemeralContainers":[{"name":"%s","image":"mine","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`
		condition = `{"status":{"conditions":[{"type":"test.example/ready","status":"%s"}]}}`
	)
	// Negative controls: of a pod that is not published all of this is the editor's business,
	// except its addresses: the label may come a moment later.
	for what, body := range map[string]string{"image": fmt.Sprintf(image, "another")} {
		if err := patch(mallory, name, body); err != nil {
			t.Errorf("%s of an ordinary pod: %v", what, err)
		}
	}
	if err := patch(mallory, name, fmt.Sprintf(container, "before"), "ephemeralcontainers"); err != nil {
		t.Errorf("ephemeral container of an ordinary pod: %v", err)
	}
	addresses := map[string]string{
		"podIP":   `{"status":{"podIP":"10.9.9.9","podIPs":[{"ip":"10.9.9.9"}]}}`,
		"podIPs":  `{"status":{"podIPs":[{"ip":"10.9.9.9"}]}}`,
		"hostIP":  `{"status":{"hostIP":"10.9.9.9"}}`,
		"hostIPs": `{"status":{"hostIP":"10.9.9.9","hostIPs":[{"ip":"10.9.9.9"}]}}`,
	}
	for what, body := range addresses {
		refused(t, what+" of an ordinary pod", patch(mallory, name, body, "status"))
	}
	if err := patch(admin, name, `{"metadata":{"labels":{"hub.jupyter.org/username":"alice"}}}`); err != nil {
		t.Fatal(err)
	}
	for what, body := range addresses {
		refused(t, what, patch(mallory, name, body, "status"))
	}
	refused(t, "image", patch(mallory, name, fmt.Sprintf(image, "mine")))
	refused(t, "ephemeral container", patch(mallory, name, fmt.Sprintf(container, "after"), "ephemeralcontainers"))
	if err := patch(mallory, name, fmt.Sprintf(condition, "True"), "status"); err != nil {
		t.Errorf("another part of the status: %v", err)
	}
	node := nodeClient(t).CoreV1().Pods(servers)
	if err := patch(node, name, addresses["podIP"], "status"); err != nil && strings.Contains(err.Error(), "servers.perijove.dev") {
		t.Errorf("a node: %v", err)
	}
	if err := patch(admin, name, fmt.Sprintf(image, "new")); err != nil {
		t.Errorf("administrator: %v", err)
	}
}

// nodeClient acts as some node of the cluster.
func nodeClient(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:chart-test", Groups: []string{"system:nodes", "system:masters"}}
	return kubernetes.NewForConfigOrDie(config)
}
