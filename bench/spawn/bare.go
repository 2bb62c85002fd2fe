package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/peer"
	"github.com/perijove/perijove/bench/internal/steps"
)

// often is how often a bare pod is asked whether it answers.
const often = 50 * time.Millisecond

// each does one thing for all at once, and returns how long each took, the quickest first.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) (time.Duration, error)) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	took := make([]time.Duration, n)
	group, ctx := errgroup.WithContext(ctx)
	for i := range took {
		group.Go(func() (err error) {
			took[i], err = do(ctx, i)
			return err
		})
	}
	err := group.Wait()
	slices.Sort(took)
	return took, err
}

// bare are pods as anybody makes them: the same container without a gate, a label or a secret.
func (c *cluster) bare(ctx context.Context) (*contestant, error) {
	for i := range c.servers {
		claim, err := c.client.CoreV1().PersistentVolumeClaims(servers).Get(ctx, "home-"+user(i), metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read a home: %w", err)
		}
		spec := *claim.Spec.DeepCopy()
		spec.VolumeName = ""
		if _, err := c.client.CoreV1().PersistentVolumeClaims(peer.Namespace).Create(ctx, &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: peer.Namespace, Name: "bare-" + user(i)}, Spec: spec,
		}, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("make a home: %w", err)
		}
	}
	one := &contestant{name: "bare pods", namespace: peer.Namespace}
	one.start, one.stop = func(ctx context.Context) ([]time.Duration, error) {
		began := time.Now()
		return each(ctx, c.servers, func(ctx context.Context, i int) (time.Duration, error) {
			if err := c.runBare(ctx, i); err != nil {
				return 0, fmt.Errorf("bare pod of %s: %w", user(i), err)
			}
			one.trace.Note(steps.In, user(i))
			return time.Since(began), nil
		})
	},
		func(ctx context.Context) error {
			if err := c.client.CoreV1().Pods(peer.Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
				return fmt.Errorf("delete the bare pods: %w", err)
			}
			return c.gone(ctx, peer.Namespace)
		}
	return one, nil
}

// runBare makes the i-th pod and waits until it answers.
func (c *cluster) runBare(ctx context.Context, i int) error {
	pod := c.barePod(i)
	pods := c.client.CoreV1().Pods(peer.Namespace)
	watch, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + pod.Name})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer watch.Stop()
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for e := range watch.ResultChan() {
		if p, ok := e.Object.(*corev1.Pod); ok && p.Status.PodIP != "" {
			return asked(ctx, fmt.Sprintf("http://%s:8888/user/%s/%s", p.Status.PodIP, user(i), answering))
		}
	}
	return errors.New("it got no address")
}

// asked asks a server until it answers 200.
func asked(ctx context.Context, address string) error {
	client := &http.Client{Timeout: time.Second}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("make a request: %w", err)
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(often):
		case <-ctx.Done():
			return fmt.Errorf("ask %s: %w", address, ctx.Err())
		}
	}
}

// barePod is a pod of ours without what is ours.
func (c *cluster) barePod(i int) *corev1.Pod {
	spec := c.like.Spec.DeepCopy()
	spec.NodeName, spec.ReadinessGates, spec.Hostname = "", nil, ""
	spec.Volumes = slices.DeleteFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Secret != nil })
	kept := map[string]bool{}
	for j := range spec.Volumes {
		kept[spec.Volumes[j].Name] = true
		if claim := spec.Volumes[j].PersistentVolumeClaim; claim != nil {
			claim.ClaimName = "bare-" + user(i)
		}
	}
	notebook := &spec.Containers[0]
	notebook.VolumeMounts = slices.DeleteFunc(notebook.VolumeMounts, func(m corev1.VolumeMount) bool { return !kept[m.Name] })
	notebook.Env = nil
	for name, value := range peer.Environment(user(i)) {
		notebook.Env = append(notebook.Env, corev1.EnvVar{Name: name, Value: value})
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: peer.Namespace, Name: user(i)}, Spec: *spec}
}
