package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/shares"
)

// crowd is how users come: how many, and the sizes of their servers in turn.
type crowd struct {
	name  string
	slugs []string
	// atOnce is how many come at one time.
	atOnce int
}

// slug is the profile of the i-th user.
func (c crowd) slug(i int) string { return c.slugs[i%len(c.slugs)] }

// step is how full the nodes are after some users have come.
type step struct {
	Users int
	Range shares.Range
	// Each is the nodes' shares in the order of their names, where there are few.
	Each []shares.Share `json:",omitempty"`
}

// growth is what became of users that came until there was no node for one.
type growth struct {
	Strategy, Crowd string
	Nodes, AtOnce   int
	// Largest is the largest share of a node that one server takes.
	Largest shares.Share
	Steps   []step
	// Fit is how many were given a node until one was not.
	Fit int
	// Why is what the scheduler said then, and Page what the progress page told that user.
	Why, Page string
	// Most is the largest difference between nodes at any step.
	Most shares.Difference
	// Seconds is how long the scheduler took for all of them.
	Seconds float64
}

// rate is how many pods were given a node a second.
func (g *growth) rate() float64 { return float64(g.Fit) / g.Seconds }

// run is one cluster with one strategy at work.
type run struct {
	*world
	platform *platform
	crowd    crowd
	came     int
	result   growth
}

// names of up to a hundred nodes, so that their order is that of their making.
func nodeName(i int) string { return fmt.Sprintf("worker-%02d", i+1) }

// fill lets users come until one is refused.
func (r *run) fill(ctx context.Context) error {
	for {
		refused, err := r.come(ctx, r.crowd.atOnce)
		if err != nil || refused {
			return err
		}
	}
}

// come lets n more users come, and reports whether the scheduler has refused one.
func (r *run) come(ctx context.Context, n int) (refused bool, err error) {
	var pods []*corev1.Pod
	for range n {
		pod, err := r.platform.pod(r.came, r.crowd.slug(r.came))
		if err != nil {
			return false, err
		}
		r.result.Largest = largest(r.result.Largest, r.takes(pod))
		pods = append(pods, pod)
		r.came++
	}
	began := time.Now()
	answers, err := r.place(ctx, pods)
	if err != nil {
		return false, fmt.Errorf("after %d users: %w", r.result.Fit, err)
	}
	r.result.Seconds += time.Since(began).Seconds()
	for _, v := range answers {
		if v.pod.Spec.NodeName != "" {
			r.result.Fit++
			continue
		}
		if !refused {
			refused = true
			r.result.Why = v.why
			if r.result.Page, err = told(v.pod, time.Now()); err != nil {
				return false, err
			}
		}
	}
	return refused, r.note()
}

// takes is the share of an empty node that a pod takes.
func (r *run) takes(pod *corev1.Pod) (most shares.Share) {
	for _, n := range r.nodes {
		alone := shares.Node{Has: n.Has, Taken: shares.Requests(pod)}
		most = largest(most, alone.Share())
	}
	return most
}

// note writes down how full the nodes are.
func (r *run) note() error {
	now, err := r.nodes.Range()
	if errors.Is(err, shares.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	s := step{Users: r.result.Fit, Range: now}
	if len(r.nodes) <= few {
		for i := range len(r.nodes) {
			s.Each = append(s.Each, r.nodes[nodeName(i)].Share())
		}
	}
	r.result.Steps = append(r.result.Steps, s)
	r.result.Most = r.result.Most.Most(now.Difference())
	return nil
}

// few is how many nodes are drawn each for itself.
const few = 3

// size is what the nodes of a cluster have.
type size struct{ cores, memory string }

// paperSize is that of the paper's two workers.
func paperSize() size { return size{"16", "8Gi"} }

// start makes nodes and runs the scheduler of a strategy; stop ends it and removes all.
func (w *world) start(ctx context.Context, p *platform, c crowd, nodes int, has size) (r *run, stop func() error, err error) {
	began := time.Now()
	for i := range nodes {
		if err := w.addNode(ctx, nodeName(i), has.cores, has.memory); err != nil {
			return nil, nil, err
		}
	}
	scheduler, err := w.rig.StartScheduler(w.kube, "scheduler-"+p.strategy, p.scheduler)
	if err != nil {
		return nil, nil, err
	}
	r = &run{world: w, platform: p, crowd: c, result: growth{Strategy: p.strategy, Crowd: c.name, Nodes: nodes, AtOnce: c.atOnce}}
	return r, func() error {
		scheduler.Kill()
		fmt.Fprintf(os.Stderr, "%s, %d nodes, %s: %d users, at most %d pods apart, in %s\n", p.strategy, nodes, c.name, r.result.Fit, r.result.Most.Pods, time.Since(began).Round(100*time.Millisecond))
		return w.clear(ctx)
	}, nil
}

// grow lets users come to a cluster with nodes of the paper's size until it is full. It does so again
// when a node was thought lost meanwhile: this machine was too busy to let kwok speak for it.
func (w *world) grow(ctx context.Context, p *platform, c crowd, nodes int) (g growth, err error) {
	const tries = 3
	for range tries {
		steady := false
		if g, steady, err = w.growOnce(ctx, p, c, nodes); err != nil || steady {
			return g, err
		}
		fmt.Fprintln(os.Stderr, "again: a node was thought lost")
	}
	return g, fmt.Errorf("%s, %d nodes: %d times a node was thought lost: this machine is too busy", p.strategy, nodes, tries)
}

// growOnce also reports whether all nodes were ready all the time.
func (w *world) growOnce(ctx context.Context, p *platform, c crowd, nodes int) (g growth, steady bool, err error) {
	r, stop, err := w.start(ctx, p, c, nodes, paperSize())
	if err != nil {
		return g, false, err
	}
	steady, err = r.steadily(ctx)
	return r.result, steady, errors.Join(err, stop())
}

func (r *run) steadily(ctx context.Context) (bool, error) {
	before, err := r.heartbeats(ctx)
	if err != nil {
		return false, err
	}
	if err := r.fill(ctx); err != nil {
		return false, err
	}
	if err := until(ctx, "all servers run", func(context.Context) (bool, error) { return r.answers.run(), nil }); err != nil {
		return false, err
	}
	after, err := r.heartbeats(ctx)
	return err == nil && maps.Equal(before, after), err
}
