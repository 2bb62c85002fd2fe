package run_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/perijove/perijove/pkg/run"
)

// TestKubeClientKeepsToItsBudget: with none, and so without client-go's, a class that logs in at once
// does not wait behind itself.
func TestKubeClientKeepsToItsBudget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	const text = `{"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:1"}}],"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"users":[{"name":"u"}],"current-context":"x"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, budget := range []int{0, 100} {
		client, err := run.KubeClient(path, "test", budget)
		if err != nil {
			t.Fatal(err)
		}
		limiter := client.CoreV1().RESTClient().GetRateLimiter()
		if none := limiter == nil || reflect.ValueOf(limiter).IsNil(); none != (budget == 0) || !none && limiter.QPS() != float32(budget) {
			t.Errorf("%d requests a second: %v", budget, limiter)
		}
	}
}
