package run_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/perijove/perijove/pkg/run"
)

// TestKubeClientHasNoLimitOfItsOwn: with client-go's, or any, a class that comes at once waits
// behind itself until its logins fail.
func TestKubeClientHasNoLimitOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	const text = `{"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u"}],"current-context":"x"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := run.KubeClient(path, "test")
	if err != nil {
		t.Fatal(err)
	}
	if limiter := client.CoreV1().RESTClient().GetRateLimiter(); limiter != nil && !reflect.ValueOf(limiter).IsNil() {
		t.Errorf("%v requests a second", limiter.QPS())
	}
}
