package dataplane

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/test/repo"
)

// R1: with a time limit (Envoy's default is 15 s) an Envoy that found no xds-server
// would call itself ready without a listener. TestR1 cannot wait that long.
func TestR1_BootstrapSetsNoTimeLimitOnTheFirstFetch(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(repo.Root(t), "envoy", "bootstrap.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap struct {
		Dynamic map[string]struct {
			InitialFetchTimeout string `json:"initial_fetch_timeout"`
		} `json:"dynamic_resources"`
	}
	if err := yaml.Unmarshal(data, &bootstrap); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"lds_config", "cds_config"} {
		if got := bootstrap.Dynamic[source].InitialFetchTimeout; got != "0s" {
			t.Errorf("%s: initial_fetch_timeout is %q, want 0s", source, got)
		}
	}
}
