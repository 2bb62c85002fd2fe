//go:build cluster

package chart

import (
	"context"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	authzv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// B8, S14: the spawner makes tokens of one account, whose token nodes get to see. It reads nodes'
// figures and does nothing else: with nodes/proxy it could run commands in every pod.
func TestClusterNodesSeeAPowerlessToken(t *testing.T) {
	ctx := context.Background()
	spawner := as(t, serviceAccount("perijove-spawner")).CoreV1()
	for _, c := range []struct {
		space, account string
		allowed        bool
	}{{servers, "perijove-diskspace", true}, {servers, "default", false}, {namespace, "perijove-spawner", false}, {namespace, "perijove-gateway", false}} {
		_, err := spawner.ServiceAccounts(c.space).CreateToken(ctx, c.account, &authv1.TokenRequest{}, metav1.CreateOptions{})
		if c.allowed != (err == nil) || err != nil && !apierrors.IsForbidden(err) {
			t.Errorf("a token of %s/%s: %v", c.space, c.account, err)
		}
	}
	reader := as(t, "system:serviceaccount:"+servers+":perijove-diskspace").AuthorizationV1().SelfSubjectAccessReviews()
	for _, a := range []authzv1.ResourceAttributes{
		{Verb: "get", Resource: "nodes", Subresource: "stats"},
		{Verb: "get", Resource: "nodes"}, {Verb: "list", Resource: "nodes"},
		{Verb: "get", Resource: "nodes", Subresource: "proxy"}, {Verb: "create", Resource: "nodes", Subresource: "proxy"},
		{Verb: "get", Resource: "nodes", Subresource: "metrics"}, {Verb: "get", Resource: "nodes", Subresource: "log"},
		{Verb: "list", Resource: "pods", Namespace: servers}, {Verb: "get", Resource: "secrets", Namespace: servers},
		{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: servers, Name: "perijove-diskspace"},
	} {
		got, err := reader.Create(ctx, &authzv1.SelfSubjectAccessReview{Spec: authzv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if want := a.Subresource == "stats"; got.Status.Allowed != want {
			t.Errorf("%s %s/%s: allowed %v", a.Verb, a.Resource, a.Subresource, got.Status.Allowed)
		}
	}
}
