package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perijove/perijove/pkg/run/config"
)

// start runs Main on a configuration that must not get far and returns what it says.
func start(t *testing.T, yaml string) (int, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spawner.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	code := Main(t.Context(), []string{"-config", file}, &stderr)
	return code, stderr.String()
}

func TestEveryFaultAtOnce(t *testing.T) {
	code, said := start(t, `
lisen: ":8443"
privateListen: "9090"
routeStatus: ["nowhere"]
startTimeout: 0s
concurrentSpawnLimit: 0
profile:
  slug: "Not A Slug"
  kubespawner_override: {cpu_limit: 1, cpu_guarantee: 2, mem_limit: lots, labels: {a: b}}
`)
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"lisen", "labels", "listen: is required", `privateListen: "9090" is not host:port`, "tls.cert: is required", "tls.key: is required", "tls.ca: is required",
		"namespace: is required", "serverKeyFile: is required", "jupyterConfigMap: is required", `routeStatus[0]: "nowhere" is not host:port`,
		"startTimeout: must", "concurrentSpawnLimit: must", "profile.display_name: is required", "profile.slug: must", "profile.kubespawner_override.image: must",
		"profile.kubespawner_override.cpu_limit: is below", "profile.kubespawner_override.mem_limit: ",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
}

// TestNamesThatKubernetesRefuses fail before anything is made of them.
func TestNamesThatKubernetesRefuses(t *testing.T) {
	for yaml, bad := range map[string]bool{
		"namespace: No_Name\n": true, "namespace: my.servers\n": true, "namespace: servers\n": false,
		"jupyterConfigMap: a b\n": true, "jupyterConfigMap: jupyter.config\n": false,
	} {
		key, _, _ := strings.Cut(yaml, ":")
		if _, said := start(t, yaml); strings.Contains(said, "  "+key+": ") != bad {
			t.Errorf("%s says\n%s", yaml, said)
		}
	}
}

func TestUserDomain(t *testing.T) {
	for yaml, bad := range map[string]bool{"userDomain: users.test\npublicURL: https://hub.test\n": false, "userDomain: users.test\n": true, "publicURL: https://hub.test\n": false} {
		if _, said := start(t, yaml); strings.Contains(said, "userDomain: ") != bad {
			t.Errorf("%s says\n%s", yaml, said)
		}
	}
}

func TestServerKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("too short to be one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := start(t, "serverKeyFile: "+key+"\n")
	if code != 2 || !strings.Contains(said, "serverKeyFile: ") || strings.Contains(said, "too short to be one") {
		t.Errorf("%d: %s", code, said)
	}
}

// TestFullExampleIsValid keeps the example in testdata in step with Config.
func TestFullExampleIsValid(t *testing.T) {
	cfg := Defaults()
	if err := config.Load("testdata/full.yaml", &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.ServerKeyFile = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(cfg.ServerKeyFile, bytes.Repeat([]byte("k"), minServerKey), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestCommandLine(t *testing.T) {
	var stderr bytes.Buffer
	if code := Main(t.Context(), []string{"-nonsense"}, &stderr); code != 2 {
		t.Errorf("unknown flag: %d", code)
	}
	if code := Main(t.Context(), []string{"-config", "/nonexistent.yaml"}, &stderr); code != 2 || !strings.Contains(stderr.String(), "/nonexistent.yaml") {
		t.Errorf("no file: %d %s", code, stderr.String())
	}
}
