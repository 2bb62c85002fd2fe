package chart

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	spawner "github.com/perijove/perijove/cmd/spawner/app"
	xdsserver "github.com/perijove/perijove/cmd/xds-server/app"
	"github.com/perijove/perijove/pkg/config"
)

// What the chart writes is what the services read: every configuration is loaded as
// the service does it, and validated where that needs no mounted file.
func testConfigs(t *testing.T, helm string) {
	for _, values := range []string{"testdata/onenode.values.yaml", "testdata/production.values.yaml", "testdata/loadbalancer.values.yaml"} {
		maps := objects[corev1.ConfigMap](t, helm, values, "ConfigMap")
		load := func(name, key string, into any) {
			t.Helper()
			path := filepath.Join(t.TempDir(), key)
			if err := os.WriteFile(path, []byte(maps[name].Data[key]), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := config.Load(path, into); err != nil {
				t.Errorf("%s: %s: %v", values, key, err)
			}
		}
		xds := xdsserver.Defaults()
		load("perijove-gateway", "xds-server.yaml", &xds)
		if err := xds.Validate(); err != nil {
			t.Errorf("%s: xds-server.yaml: %v", values, err)
		}
		spawn := spawner.Defaults()
		load("perijove-spawner", "spawner.yaml", &spawn)
		spawn.ServerKeyFile = keyFile(t)
		if err := spawn.Validate(); err != nil {
			t.Errorf("%s: spawner.yaml: %v", values, err)
		}
	}
}

func keyFile(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, make([]byte, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
