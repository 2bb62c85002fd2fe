package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/installed"
)

// Where things are: the platform, and the pods that are not its own.
const (
	platform = "perijove"
	apart    = "perijove-bench"
	gateway  = "perijove-gateway"
	spawner  = "perijove-spawner"
	manager  = "perijove-bench"
)

// patience is the longest that anything may take but a run of ApacheBench.
const patience = installed.Patience

// cluster is the one that runs on this machine.
type cluster struct {
	options
	kube kubernetes.Interface
	// like is the platform's server, whose image and resources all have.
	like *corev1.Pod
	// was is the platform as `make up` has made it.
	was map[string]appsv1.DeploymentSpec
}

func connect(ctx context.Context, o options) (*cluster, error) {
	p, err := installed.Connect(o.kubeconfig, o.url)
	if err != nil {
		return nil, err
	}
	o.kubeconfig = p.Kubeconfig
	_, err = p.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apart}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("namespace %s (one that is left from before: delete it): %w", apart, err)
	}
	return &cluster{options: o, kube: p.Client, was: map[string]appsv1.DeploymentSpec{}}, nil
}

// clean removes what the benchmark has made, and gives the platform its replicas back.
func (c *cluster) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	faults := []error{c.kube.CoreV1().Namespaces().Delete(ctx, apart, metav1.DeleteOptions{})}
	for name, spec := range c.was {
		faults = append(faults, c.change(ctx, name, func(d *appsv1.Deployment) { d.Spec = spec }), c.change(ctx, name, disown))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// disown takes the benchmark's name from the fields that it has changed. Helm would meet a conflict
// when it changes them next.
func disown(d *appsv1.Deployment) {
	d.ManagedFields = slices.DeleteFunc(d.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Manager == manager })
}

// replicas runs so many of gateway and spawner. The gateways leave the node's port: two pods of
// one node cannot share it.
func (c *cluster) replicas(ctx context.Context, n int32) error {
	for _, name := range []string{gateway, spawner} {
		if err := c.change(ctx, name, func(d *appsv1.Deployment) {
			if _, known := c.was[name]; !known {
				c.was[name] = *d.Spec.DeepCopy()
			}
			d.Spec.Replicas = &n
			for _, container := range d.Spec.Template.Spec.Containers {
				for j := range container.Ports {
					container.Ports[j].HostPort = 0
				}
			}
		}); err != nil {
			return err
		}
	}
	for _, name := range []string{gateway, spawner} {
		if err := c.poll(ctx, fmt.Sprintf("%d pods of %s", n, name), func() (bool, error) { return c.settled(ctx, name, n) }); err != nil {
			return err
		}
	}
	return nil
}

// change writes a Deployment.
func (c *cluster) change(ctx context.Context, name string, to func(*appsv1.Deployment)) error {
	all := c.kube.AppsV1().Deployments(platform)
	for {
		d, err := all.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		to(d)
		if _, err = all.Update(ctx, d, metav1.UpdateOptions{FieldManager: manager}); err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) { // its controller has written its status
			return fmt.Errorf("change %s: %w", name, err)
		}
	}
}

// settled reports whether n pods of the newest kind are ready and no other is left.
func (c *cluster) settled(ctx context.Context, name string, n int32) (bool, error) {
	d, err := c.kube.AppsV1().Deployments(platform).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	pods, err := c.kube.CoreV1().Pods(platform).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	if err != nil {
		return false, fmt.Errorf("list pods: %w", err)
	}
	return d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == n && d.Status.ReadyReplicas == n && len(pods.Items) == int(n), nil
}

// poll asks until it is so.
func (c *cluster) poll(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := so()
		if ok {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, errors.Join(err, ctx.Err()))
		}
	}
}
