package app

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/test/pki"
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
profilesConfigMap: a b
publishedNamespaces: [ok, ""]
scheduling: { scheduler: a b, priorityClass: A, neighbours: near }
`)
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{
		"lisen", "listen: is required", `privateListen: "9090" is not host:port`, "tls.cert: is required", "tls.key: is required", "tls.ca: is required",
		"publicURL: must be http", "namespace: is required", "serverKeyFile: is required", "jupyterConfigMap: is required", "serversCA.cert: is required", "serversCA.key: is required", `routeStatus[0]: "nowhere" is not host:port`,
		"startTimeout: must", "concurrentSpawnLimit: must", "profilesConfigMap: ", "publishedNamespaces[1]: ",
		"scheduling.scheduler: ", "scheduling.priorityClass: ", "scheduling.neighbours: must",
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
		"profilesConfigMap: a b\n": true, "profilesConfigMap: profiles\n": false,
	} {
		key, _, _ := strings.Cut(yaml, ":")
		if _, said := start(t, yaml); strings.Contains(said, "  "+key+": ") != bad {
			t.Errorf("%s says\n%s", yaml, said)
		}
	}
}

func TestUserDomain(t *testing.T) {
	for yaml, wrong := range map[string]string{
		"userDomain: users.test\npublicURL: https://hub.test\n": "", "userDomain: users.test\npublicURL: https://hub.users.test\n": "userDomain: ",
		"userDomain: users.test\n": "publicURL: ", "publicURL: https://hub.test\n": "",
	} {
		_, said := start(t, yaml)
		for _, key := range []string{"userDomain: ", "publicURL: "} {
			if strings.Contains(said, key) != (key == wrong) {
				t.Errorf("%s says\n%s", yaml, said)
			}
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
	cfg.ServersCA = serversCA(t)
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

// serversCA is a CA of servers in files.
func serversCA(t *testing.T) KeyPair {
	t.Helper()
	pair, dir := pki.New(t).Pair(), t.TempDir()
	files := KeyPair{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	for path, data := range map[string][]byte{files.Cert: pair.Chain, files.Key: pair.Key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A service's certificate is no CA of servers, and two halves of different CAs are none.
func TestServersCA(t *testing.T) {
	good, other := serversCA(t), serversCA(t)
	service := pki.New(t).Issue("perijove-spawner", time.Hour)
	for what, c := range map[string]struct {
		pair KeyPair
		bad  bool
	}{
		"a CA":             {good, false},
		"no file":          {KeyPair{Cert: "/none", Key: good.Key}, true},
		"another CA's key": {KeyPair{Cert: good.Cert, Key: other.Key}, true},
		"a service's":      {KeyPair{Cert: service.Cert, Key: service.Key}, true},
	} {
		cfg := Defaults()
		cfg.ServersCA = c.pair
		if err := cfg.Validate(); err == nil || strings.Contains(err.Error(), "serversCA: ") != c.bad {
			t.Errorf("%s: %v", what, err)
		}
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
