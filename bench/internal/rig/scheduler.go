package rig

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/perijove/perijove/test/apiserver"
)

// InstallKwok builds kwok, for StartKwok.
func InstallKwok() error {
	_, err := apiserver.BuildKwok()
	return err
}

// StartKwok runs kwok: nodes are ready and say so once in a quarter of lease, and pods that are bound
// to one run after a second or so.
func (r *Rig) StartKwok(k *Kube, lease time.Duration) error {
	flags, err := apiserver.KwokFlags(r.Path("stages.yaml"), k.Kubeconfig, podNetwork, apiserver.Present)
	if err != nil {
		return err
	}
	_, err = r.start("kwok", nil, Cache("kwok"), append(flags, fmt.Sprintf("--node-lease-duration-seconds=%.0f", lease.Seconds()))...)
	return err
}

// StartControllers runs some of kube-controller-manager's controllers. A node that tells nothing for
// grace is not ready.
func (r *Rig) StartControllers(k *Kube, grace time.Duration, names ...string) error {
	bin, err := apiserver.Programs()
	if err != nil {
		return err
	}
	p, err := r.start("kube-controller-manager", nil, filepath.Join(bin, "kube-controller-manager"),
		"--kubeconfig="+k.Kubeconfig, "--controllers="+strings.Join(names, ","), "--leader-elect=false", "--node-monitor-period=1s", "--node-monitor-grace-period="+grace.String(),
		"--bind-address=127.0.0.1", "--secure-port=10257", "--cert-dir="+r.Path("controllers"), "--authentication-skip-lookup", "--kube-api-qps=500", "--kube-api-burst=500")
	if err != nil {
		return err
	}
	return p.healthy("10257")
}

// StartScheduler runs a kube-scheduler with a configuration as a cluster has it, but for the API that
// it asks and the election of a leader: it is the only one.
func (r *Rig) StartScheduler(k *Kube, name, configuration string) (*Proc, error) {
	bin, err := apiserver.Programs()
	if err != nil {
		return nil, err
	}
	config := map[string]any{}
	if err := yaml.Unmarshal([]byte(configuration), &config); err != nil {
		return nil, fmt.Errorf("configuration of the scheduler: %w", err)
	}
	client, ok := config["clientConnection"].(map[string]any)
	if !ok {
		client = map[string]any{}
	}
	client["kubeconfig"] = k.Kubeconfig
	config["clientConnection"], config["leaderElection"] = client, map[string]any{"leaderElect": false}
	text, err := yaml.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("configuration of the scheduler: %w", err)
	}
	file := r.Path(name + ".yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, fmt.Errorf("configuration of the scheduler: %w", err)
	}
	p, err := r.start(name, nil, filepath.Join(bin, "kube-scheduler"), "--config="+file,
		"--bind-address=127.0.0.1", "--secure-port=10259", "--cert-dir="+r.Path("scheduler"), "--authentication-skip-lookup")
	if err != nil {
		return nil, err
	}
	return p, p.healthy("10259")
}

// healthy waits until a part of Kubernetes says so on a port of its own.
func (p *Proc) healthy(port string) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // in a network of our own
	return p.wait("it is healthy", time.Minute, func() bool { return answers(client, "https://127.0.0.1:"+port+"/healthz") })
}
