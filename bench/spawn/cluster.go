package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/installed"
)

// Where things are: the platform's servers, and the pods that are not its own.
const (
	servers = installed.Servers
	apart   = "perijove-bench"
)

// patience is the longest that anything of a round may take.
const patience = installed.Patience

// cluster is the one that runs on this machine, with people added to its directory.
type cluster struct {
	options
	platform *installed.Platform
	client   kubernetes.Interface
	// like is a pod of ours, whose image and resources all have.
	like *corev1.Pod
}

// user is the name of the i-th person.
func user(i int) string { return fmt.Sprintf("bench-%d", i) }

// people are the names of all.
func (o options) people() (all []string) {
	for i := range o.servers {
		all = append(all, user(i))
	}
	return all
}

func connect(ctx context.Context, o options) (*cluster, error) {
	platform, err := installed.Connect(o.kubeconfig, o.url)
	if err != nil {
		return nil, err
	}
	c := &cluster{options: o, platform: platform, client: platform.Client}
	if err := platform.AddPeople(ctx, o.people()); err != nil {
		return nil, err
	}
	return c, c.makeApart(ctx)
}

// makeApart makes the namespace of the pods that are not the platform's, with the configuration
// that the image needs.
func (c *cluster) makeApart(ctx context.Context) error {
	_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: apart}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("namespace %s (one that is left from before: delete it): %w", apart, err)
	}
	const jupyter = "perijove-jupyter"
	config, err := c.client.CoreV1().ConfigMaps(servers).Get(ctx, jupyter, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the configuration of Jupyter: %w", err)
	}
	_, err = c.client.CoreV1().ConfigMaps(apart).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: apart, Name: jupyter}, Data: config.Data,
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("write the configuration of Jupyter: %w", err)
	}
	return nil
}

// clean removes what the benchmark has made, homes too.
func (c *cluster) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := c.client.CoreV1().Namespaces().Delete(ctx, apart, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	if err := errors.Join(err, c.platform.Remove(ctx, c.people())); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// gone waits until a namespace has none of the people's pods any more.
func (c *cluster) gone(ctx context.Context, namespace string) error {
	return c.platform.Gone(ctx, namespace, func(pod *corev1.Pod) bool { return strings.Contains(pod.Name, "bench-") })
}
