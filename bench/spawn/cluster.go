package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/peer"
)

// servers is the namespace of the platform's servers.
const servers = installed.Servers

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
	return c, peer.Make(ctx, c.client)
}

// clean removes what the benchmark has made, homes too.
func (c *cluster) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(peer.Remove(ctx, c.client), c.platform.Remove(ctx, c.people())); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// gone waits until a namespace has none of the people's pods any more.
func (c *cluster) gone(ctx context.Context, namespace string) error {
	return c.platform.Gone(ctx, namespace, func(pod *corev1.Pod) bool { return strings.Contains(pod.Name, "bench-") })
}
