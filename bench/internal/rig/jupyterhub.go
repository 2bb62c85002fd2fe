package rig

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

//go:embed jupyterhub/requirements.txt jupyterhub/jupyterhub_config.py
var jupyterHub embed.FS

// JupyterHub is the peer with its spawner for Kubernetes and its proxy, all with the settings of
// Zero to JupyterHub where they bear on speed.
type JupyterHub struct {
	Hub   *Proc
	Proxy *Proc
	// Addr is the proxy's, where browsers come.
	Addr string
}

// Traits are JupyterHub's settings: class, trait, value.
type Traits map[string]map[string]any

// jupyterHubFolder is named after the pinned packages: other versions go elsewhere.
func jupyterHubFolder() string {
	return Cache("bench", fmt.Sprintf("jupyterhub-%x", sha256.Sum256(hubFile("requirements.txt")))[:23])
}

func hubFile(name string) []byte {
	data, err := jupyterHub.ReadFile("jupyterhub/" + name)
	if err != nil {
		panic(fmt.Sprintf("embedded %s: %v", name, err)) // a build without its own files
	}
	return data
}

// InstallJupyterHub fetches it, KubeSpawner and the LDAP authenticator once, by hash. Call it
// outside the network namespace.
func InstallJupyterHub() error {
	dir := jupyterHubFolder()
	complete := filepath.Join(dir, "complete")
	if _, err := os.Stat(complete); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of JupyterHub: %w", err)
	}
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, hubFile("requirements.txt"), 0o644); err != nil {
		return fmt.Errorf("packages of JupyterHub: %w", err)
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", filepath.Join(dir, "venv")},
		{filepath.Join(dir, "venv", "bin", "pip"), "install", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", list},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("install JupyterHub: %s: %w: %s", args[0], err, out)
		}
	}
	return os.WriteFile(complete, nil, 0o644)
}

var pinnedHub = regexp.MustCompile(`(?m)^(jupyterhub|jupyterhub-kubespawner)==(\S+)`)

// JupyterHubVersion names what is pinned.
func JupyterHubVersion() string {
	text := "JupyterHub"
	for _, m := range pinnedHub.FindAllSubmatch(hubFile("requirements.txt"), -1) {
		if string(m[1]) != "jupyterhub" {
			text += ", KubeSpawner"
		}
		text += " " + string(m[2])
	}
	return text
}

// StartJupyterHub runs it for the cluster of a kubeconfig. Its files begin with name; more says what is not the same in
// every benchmark. What stands here is what Zero to JupyterHub sets (its jupyterhub_config.py and
// values.yaml): the proxy apart, no wait before the page that shows progress, 64 starts at once.
func (r *Rig) StartJupyterHub(name, kubeconfig string, more Traits) (*JupyterHub, error) {
	hub, api := r.addr(), r.addr()
	j := &JupyterHub{Addr: net.JoinHostPort(cmp.Or(r.Front, "127.0.0.1"), port(r.addr()))}
	traits := Traits{
		"JupyterHub": {
			"spawner_class": "kubespawner.KubeSpawner", "hub_bind_url": "http://" + hub, "db_url": "sqlite:///" + r.Path(name+".sqlite"),
			"cookie_secret_file": r.Path(name + "-cookie-secret"), "concurrent_spawn_limit": 64, "cleanup_servers": false, //nolint:mnd // their value
			"tornado_settings": map[string]any{"slow_spawn_timeout": 0},
		},
		"ConfigurableHTTPProxy": {"should_start": false, "api_url": "http://" + api, "auth_token": token},
	}
	for class, some := range more {
		if traits[class] == nil {
			traits[class] = map[string]any{}
		}
		for trait, value := range some {
			traits[class][trait] = value
		}
	}
	settings, err := json.Marshal(traits)
	if err != nil {
		return nil, fmt.Errorf("settings of JupyterHub: %w", err)
	}
	config, file := r.Path(name+"_config.py"), r.Path(name+".json")
	for path, data := range map[string][]byte{config: hubFile("jupyterhub_config.py"), file: settings} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return nil, fmt.Errorf("settings of JupyterHub: %w", err)
		}
	}
	j.Proxy, err = r.start(name+"-proxy", []string{"CONFIGPROXY_AUTH_TOKEN=" + token}, "node", chpProgram(),
		"--ip="+cmp.Or(r.Front, "127.0.0.1"), "--port="+port(j.Addr), "--api-ip=127.0.0.1", "--api-port="+port(api), "--log-level=error",
		"--default-target=http://"+hub, "--error-target=http://"+hub+"/hub/error")
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(jupyterHubFolder(), "venv", "bin")
	j.Hub, err = r.start(name, []string{"KUBECONFIG=" + kubeconfig, "PERIJOVE_BENCH_JUPYTERHUB=" + file},
		filepath.Join(bin, "python"), filepath.Join(bin, "jupyterhub"), "-f", config)
	if err != nil {
		return nil, err
	}
	return j, j.Hub.wait("it answers through its proxy", time.Minute, func() bool { return answers(http.DefaultClient, "http://"+j.Addr+"/hub/login") })
}

// Stop ends both.
func (j *JupyterHub) Stop() {
	j.Hub.Kill()
	j.Proxy.Kill()
}
