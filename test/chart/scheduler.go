package chart

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/perijove/perijove/pkg/hub/spawn"
)

// Scheduler is what an installation makes of its scheduling values.
type Scheduler struct {
	// Config is the KubeSchedulerConfiguration, as the pod of kube-scheduler has it.
	Config string
	// Pods is what servers say to the scheduler: of spawn.Site, for spawn.Pod.
	Pods spawn.Scheduling
	// Namespace is where servers live.
	Namespace string
	// Rights are the objects that let the scheduler work: its service account, roles and bindings, as YAML.
	Rights string
	// Account is the user that its service account is for the API.
	Account string
}

// SchedulerOf renders the chart as the release called release with further arguments of helm, such as
// "--set", "scheduling.strategy=spread".
func SchedulerOf(helm, release string, args ...string) (Scheduler, error) {
	args = append([]string{"-f", "testdata/onenode.values.yaml"}, args...)
	out, problem, err := Template(helm, release, args...)
	if err != nil {
		return Scheduler{}, fmt.Errorf("helm template: %w\n%s", err, problem)
	}
	s := Scheduler{Namespace: release + "-servers", Account: "system:serviceaccount:" + release + ":" + release + "-user-scheduler"}
	for document := range strings.SplitSeq(out, "\n---\n") {
		if strings.Contains(document, "# Source: perijove/templates/scheduler-rbac.yaml") {
			s.Rights += document + "\n---\n"
			continue
		}
		var m corev1.ConfigMap
		if err := yaml.Unmarshal([]byte(document), &m); err != nil {
			continue // no ConfigMap
		}
		if text, ok := m.Data["scheduler.yaml"]; ok {
			s.Config = text
		}
		if text, ok := m.Data["spawner.yaml"]; ok {
			var spawner struct{ Scheduling spawn.Scheduling }
			if err := yaml.Unmarshal([]byte(text), &spawner); err != nil {
				return Scheduler{}, fmt.Errorf("read the spawner's configuration: %w", err)
			}
			s.Pods = spawner.Scheduling
		}
	}
	if s.Config == "" || s.Rights == "" || s.Pods.Scheduler == "" {
		return Scheduler{}, fmt.Errorf("the chart makes no scheduler of %q", args)
	}
	return s, nil
}

// Outside returns the configuration for a kube-scheduler outside the cluster, which reaches the API by
// a kubeconfig. Nothing else is changed.
func (s Scheduler) Outside(kubeconfig string) (string, error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(s.Config), &config); err != nil {
		return "", fmt.Errorf("read the scheduler's configuration: %w", err)
	}
	connection, ok := config["clientConnection"].(map[string]any)
	if !ok {
		connection = map[string]any{}
	}
	connection["kubeconfig"] = kubeconfig
	config["clientConnection"] = connection
	text, err := yaml.Marshal(config)
	return string(text), err
}
