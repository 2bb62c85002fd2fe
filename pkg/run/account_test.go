package run_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/perijove/perijove/pkg/run"
)

// TestAccountToken: a token is used for half of its life, and a failure is no token.
func TestAccountToken(t *testing.T) {
	client, made := fake.NewClientset(), 0
	var refuse error
	client.PrependReactor("create", "serviceaccounts/token", func(a clienttesting.Action) (bool, runtime.Object, error) {
		made++
		request := a.(clienttesting.CreateAction).GetObject().(*authv1.TokenRequest)
		if a.GetNamespace() != "servers" || *request.Spec.ExpirationSeconds != 600 || len(request.Spec.Audiences) > 0 {
			t.Errorf("asked for %+v in %s", request.Spec, a.GetNamespace())
		}
		return true, &authv1.TokenRequest{Status: authv1.TokenRequestStatus{Token: fmt.Sprint("token ", made)}}, refuse
	})
	now := time.Unix(0, 0)
	token := run.AccountToken(client, "servers", "diskspace", func() time.Time { return now })
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{0, "token 1"}, {299 * time.Second, "token 1"}, {time.Second, "token 2"}, {299 * time.Second, "token 2"}} {
		now = now.Add(c.after)
		if got, err := token(context.Background()); err != nil || got != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
	now, refuse = now.Add(time.Hour), errors.New("forbidden")
	if got, err := token(context.Background()); err == nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
}
