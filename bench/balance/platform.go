package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/rig"
	spawner "github.com/perijove/perijove/cmd/spawner/app"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/server"
	"github.com/perijove/perijove/pkg/server/access"
	"github.com/perijove/perijove/test/chart"
)

// Profiles of the servers: equal ones are the easy case of a scheduler. The small one is the chart's own.
const (
	small    = "small"
	large    = "large"
	profiled = `singleuser.profileList=[
{"display_name":"Small","slug":"small","kubespawner_override":{"cpu_guarantee":0.1,"mem_guarantee":"256M"}},
{"display_name":"Large","slug":"large","kubespawner_override":{"cpu_guarantee":1,"mem_guarantee":"1G"}}]`
)

// Strategies of scheduling: the chart's, and a cluster's own scheduler as it comes.
const (
	ownScheduler = "default"
	spread       = "spread"
	pack         = "pack"
	weights      = "weights"
)

func strategies() []string { return []string{ownScheduler, spread, pack, weights} }

// platform is what the chart makes of one strategy.
type platform struct {
	strategy string
	// scheduler is the configuration of its kube-scheduler.
	scheduler string
	site      spawn.Site
	policy    spawn.Policy
}

// plain is a scheduler that nobody has configured.
const plain = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// render reads what the chart makes of a strategy.
func render(strategy string) (*platform, error) {
	args := []string{"--values", "testdata/onenode.values.yaml", "--set", "singleuser.storage.type=static,singleuser.storage.static.pvcName=" + homes, "--set-json", profiled}
	if strategy != ownScheduler {
		args = append(args, "--set", "scheduling.strategy="+strategy)
	}
	out, problem, err := chart.Template(rig.Cache("bin", "helm"), release, args...)
	if err != nil {
		return nil, fmt.Errorf("helm template: %w: %s", err, problem)
	}
	p := &platform{strategy: strategy, scheduler: plain}
	for document := range strings.SplitSeq(out, "\n---\n") {
		if err := p.read(document); err != nil {
			return nil, fmt.Errorf("the chart with %q: %w", args, err)
		}
	}
	if own := p.scheduler != plain; p.site.Namespace == "" || len(p.policy.Profiles) == 0 || own != (strategy != ownScheduler) {
		return nil, fmt.Errorf("the chart with %q lacks profiles, a spawner or a scheduler", args)
	}
	return p, nil
}

// read takes what is needed of one manifest.
func (p *platform) read(document string) error {
	var object struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(document), &object); err != nil {
		return nil //nolint:nilerr // data of other kinds of objects is no text
	}
	if text, ok := object.Data["scheduler.yaml"]; ok {
		p.scheduler = text
	}
	if text, ok := object.Data["spawner.yaml"]; ok {
		var c spawner.Config
		if err := config.Decode([]byte(text), &c); err != nil {
			return fmt.Errorf("the spawner's configuration: %w", err)
		}
		p.site = spawn.Site{Namespace: c.Namespace, JupyterConfigMap: c.JupyterConfigMap, Proof: c.Proof, Scheduling: c.Scheduling}
	}
	if text, ok := object.Data[profiles.Key]; ok {
		var err error
		if p.policy, err = profiles.Read(text); err != nil {
			return fmt.Errorf("the profiles: %w", err)
		}
	}
	return nil
}

// release is the name of the chart's, and of its namespace.
const release = "perijove"

// user is the name of the i-th person.
func user(i int) string { return fmt.Sprintf("user-%05d", i) }

// pod is the server of the i-th user, as the spawner makes it of a profile.
func (p *platform) pod(i int, slug string) (*corev1.Pod, error) {
	owner := access.User{Name: user(i)}
	profile, err := p.policy.Resolve(owner, spawn.Options{Profile: slug})
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", slug, err)
	}
	return spawn.Pod(p.site, spawn.Spec{ID: server.ID{User: owner.Name}, Profile: profile, Nonce: fmt.Sprintf("nonce%021d", i)}), nil
}
