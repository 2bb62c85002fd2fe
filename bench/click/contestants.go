package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/peer"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/steps"
	"github.com/perijove/perijove/bench/internal/visitor"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// Who is measured, as the tables name them.
const (
	nameCold = "Perijove, cold"
	namePool = "Perijove, pool"
	nameHub  = "JupyterHub"
)

// cluster is the one that runs on this machine, with people added to its directory.
type cluster struct {
	options
	platform *installed.Platform
	client   kubernetes.Interface
	// removePool ends the profile with a pool; nil where there is none.
	removePool func(context.Context) error
}

// contestant is one way to start servers, with what was measured of it.
type contestant struct {
	name, namespace string
	site            visitor.Site
	// profile is what its form is sent with, and page where its button is.
	profile, page string
	people        []*visitor.Visitor
	stop          func(ctx context.Context, v *visitor.Visitor) error

	trace  *steps.Trace
	alone  []float64 // seconds from the click to the first byte
	crowds []float64 // seconds from the first click to the last first byte
	visits map[string][]visit
}

// user is the name of the i-th person.
func user(i int) string { return fmt.Sprintf("bench-%d", i) }

// names are the names of all.
func (o options) names() (all []string) {
	for i := range max(1, o.crowd) {
		all = append(all, user(i))
	}
	return all
}

func connect(ctx context.Context, o options) (*cluster, error) {
	platform, err := installed.Connect(o.kubeconfig, o.url)
	if err != nil {
		return nil, err
	}
	if err := platform.AddPeople(ctx, o.names()); err != nil {
		return nil, err
	}
	return &cluster{options: o, platform: platform, client: platform.Client}, nil
}

// clean removes what the benchmark has made, homes too.
func (c *cluster) clean() error {
	ctx, cancel := context.WithTimeout(context.Background(), installed.Patience)
	defer cancel()
	var pool error
	if c.removePool != nil {
		pool = c.removePool(ctx)
	}
	if err := errors.Join(pool, peer.Remove(ctx, c.client), c.platform.Remove(ctx, c.names())); err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// contestants are the platform with each profile that is measured, and JupyterHub.
func (c *cluster) contestants(ctx context.Context, r *rig.Rig) ([]*contestant, error) {
	site, err := c.platform.Site()
	if err != nil {
		return nil, err
	}
	people, err := installed.LogIn(ctx, site, c.names())
	if err != nil {
		return nil, err
	}
	ours := func(name, profile string) *contestant {
		return &contestant{
			name: name, namespace: installed.Servers, site: site, profile: profile, page: contract.PathSpawn, people: people, trace: steps.New(), visits: map[string][]visit{},
			stop: func(ctx context.Context, v *visitor.Visitor) error { return v.Stop(ctx) },
		}
	}
	all := []*contestant{ours(nameCold, c.cold)}
	if c.pool {
		all = append(all, ours(namePool, poolSlug))
		if err := c.full(ctx); err != nil {
			return nil, err
		}
	}
	if !c.peer {
		return all, nil
	}
	like, err := c.like(ctx, all[0])
	if err != nil {
		return nil, err
	}
	hub, err := c.jupyterHub(ctx, r, like)
	if err != nil {
		return nil, err
	}
	return append(all, hub), nil
}

// like starts a server of ours, for the image and the resources that the others get.
func (c *cluster) like(ctx context.Context, one *contestant) (*corev1.Pod, error) {
	if _, err := c.start(ctx, one, one.people[0]); err != nil {
		return nil, err
	}
	pod, err := c.client.CoreV1().Pods(installed.Servers).Get(ctx, spawn.PodName(server.ID{User: one.people[0].Name}), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read a server's pod: %w", err)
	}
	return pod, c.end(ctx, one, one.people[:1])
}

// jupyterHub is the peer, with people who have logged in.
func (c *cluster) jupyterHub(ctx context.Context, r *rig.Rig, like *corev1.Pod) (*contestant, error) {
	if err := peer.Make(ctx, c.client); err != nil {
		return nil, err
	}
	hub, err := peer.Start(r, c.platform.Kubeconfig, like)
	if err != nil {
		return nil, err
	}
	site := visitor.Site{Base: "http://" + hub.Addr, Addr: hub.Addr, Click: time.Second}
	people, err := installed.LogIn(ctx, site, c.names())
	if err != nil {
		return nil, err
	}
	return &contestant{
		name: nameHub, namespace: peer.Namespace, site: site, page: contract.PathHome, people: people, trace: steps.New(), visits: map[string][]visit{},
		stop: func(ctx context.Context, v *visitor.Visitor) error { return peer.Stop(ctx, hub, v.Name) },
	}, nil
}
