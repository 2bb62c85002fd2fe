package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applied "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn/profiles"
)

// The profile of which pods wait while the benchmark runs, and the list that it stands in.
const (
	poolSlug = "bench-pool"
	list     = "perijove-profiles"
)

// poolText is the profile, for the end of the list. Its homes end with the server.
func poolText(size int) string {
	return fmt.Sprintf("  - display_name: Benchmark, from a pool\n    slug: %s\n    kubespawner_override: { storage_type: none, cmd: [quick-lab] }\n    pool: { size: %d }\n", poolSlug, size)
}

// addPool adds the profile to the platform's; remove takes it away.
func (c *cluster) addPool(ctx context.Context) (remove func(context.Context) error, err error) {
	maps := c.client.CoreV1().ConfigMaps(installed.Servers)
	now, err := maps.Get(ctx, list, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the profiles: %w", err)
	}
	before := now.Data[profiles.Key]
	write := func(ctx context.Context, text string) error {
		// As Helm writes it: the next `helm upgrade` refuses what another program has taken over.
		change := applied.ConfigMap(now.Name, now.Namespace).WithLabels(now.Labels).WithAnnotations(now.Annotations).WithData(map[string]string{profiles.Key: text})
		if _, err := maps.Apply(ctx, change, metav1.ApplyOptions{FieldManager: "helm", Force: true}); err != nil {
			return fmt.Errorf("write the profiles: %w", err)
		}
		return nil
	}
	return func(ctx context.Context) error { return write(ctx, before) }, write(ctx, before+poolText(max(1, c.crowd)))
}

// full waits until as many pods wait as the pool is large: every round begins with a pool that
// nobody has taken from, and with none that is being filled.
func (c *cluster) full(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, installed.Patience)
	defer cancel()
	for {
		pods, err := c.client.CoreV1().Pods(installed.Servers).List(ctx, metav1.ListOptions{LabelSelector: contract.LabelComponent + "=" + contract.ComponentPool})
		if err != nil {
			return fmt.Errorf("list the pods that wait: %w", err)
		}
		waiting := slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
			return pod.DeletionTimestamp != nil || !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == contract.ConditionWaiting && c.Status == corev1.ConditionTrue
			})
		})
		if len(waiting) >= max(1, c.crowd) {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond): //nolint:mnd // nobody's wait is measured
		case <-ctx.Done():
			return fmt.Errorf("%d of %d pods wait: %w", len(waiting), c.crowd, ctx.Err())
		}
	}
}

// fromPool is an error unless the server of a person came from the pool.
func (c *cluster) fromPool(ctx context.Context, name string) error {
	pods, err := c.client.CoreV1().Pods(installed.Servers).List(ctx, metav1.ListOptions{LabelSelector: contract.LabelUsername + "=" + name})
	if err != nil {
		return fmt.Errorf("find the pod of %s: %w", name, err)
	}
	if len(pods.Items) != 1 || pods.Items[0].Labels[contract.LabelPool] == "" {
		return fmt.Errorf("the server of %s did not wait in the pool", name)
	}
	return nil
}
