package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/perijove/perijove/bench/internal/shares"
	"github.com/perijove/perijove/pkg/hub/spawn"
	"github.com/perijove/perijove/pkg/server"
)

// incident is what happens to a node while users come.
type incident struct {
	what string
	// nodes there are when users begin to come, and before is how many users come before it happens.
	nodes, before int
	// do lets it happen, and returns the node's name.
	do func(ctx context.Context, r *run) (node string, err error)
}

func incidents() []incident {
	return []incident{
		{"a third node joins two that are half full", 2, 32, func(ctx context.Context, r *run) (string, error) {
			has := paperSize()
			return nodeName(2), r.addNode(ctx, nodeName(2), has.cores, has.memory)
		}},
		{"one of three nodes is cordoned", 3, 24, func(ctx context.Context, r *run) (string, error) {
			return nodeName(2), r.cordon(ctx, nodeName(2))
		}},
		{"one of three nodes loses its power", 3, 24, powerCut},
	}
}

// pause is how long after one user the next one comes while a node is away.
const pause = 500 * time.Millisecond

// powerCut makes a node vanish, and lets users come until Kubernetes has noticed.
func powerCut(ctx context.Context, r *run) (string, error) {
	name := nodeName(2)
	if err := r.vanish(ctx, name); err != nil {
		return name, err
	}
	err := until(ctx, "Kubernetes notices that "+name+" is away", func(ctx context.Context) (bool, error) {
		n, err := r.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil || closed(n) {
			return err == nil, err
		}
		time.Sleep(pause)
		_, err = r.come(ctx, 1)
		return false, err
	})
	return name, err
}

// closed reports whether no pod may come to a node.
func closed(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Effect == corev1.TaintEffectNoSchedule {
			return true
		}
	}
	return false
}

// outcome is what an incident has done.
type outcome struct {
	growth
	What string
	// At is how many users there were when it was known.
	At int
	// Then is how much open nodes differed then.
	Then shares.Difference
	// Even is how many users came from then until open nodes were at most one pod apart and
	// remained so; -1 for never.
	Even int
	// Meanwhile and After are how many new servers were given the node of the incident before
	// Kubernetes knew of it, and after.
	Meanwhile, After int
	// Stranded is what the progress page tells a user whose server was given a node that is away.
	Stranded []string
}

// suffer lets users come until an incident, and then until the nodes are full.
func (w *world) suffer(ctx context.Context, p *platform, in incident) (o outcome, err error) {
	r, stop, err := w.start(ctx, p, crowd{in.what, []string{small}, 1}, in.nodes, paperSize())
	if err != nil {
		return o, err
	}
	err = r.suffer(ctx, in, &o)
	return o, errors.Join(err, stop())
}

func (r *run) suffer(ctx context.Context, in incident, o *outcome) error {
	for range in.before {
		if refused, err := r.come(ctx, 1); err != nil || refused {
			return errors.Join(err, fmt.Errorf("%s: refused: %v", in.what, refused))
		}
	}
	on := func(name string) int {
		if n := r.nodes[name]; n != nil {
			return n.Pods
		}
		return 0
	}
	last := r.came
	begun := on(nodeName(2))
	name, err := in.do(ctx, r)
	if err != nil {
		return err
	}
	now, err := r.nodes.Range()
	if err != nil {
		return err
	}
	o.What, o.At, o.Then, o.Meanwhile = in.what, r.result.Fit, now.Difference(), on(name)-begun
	if o.Meanwhile > 0 {
		if o.Stranded, err = r.stranded(ctx, name, last); err != nil {
			return err
		}
	}
	steps, known := len(r.result.Steps), on(name)
	if err := r.fill(ctx); err != nil {
		return err
	}
	o.After = on(name) - known
	o.Even = even(o.At, r.result.Steps[steps:], o.Then)
	o.growth = r.result
	return nil
}

// even is how many users came until nodes were at most one pod apart and remained so.
func even(at int, steps []step, then shares.Difference) int {
	came, apart := 0, then.Pods > 1
	if apart {
		came = -1
	}
	for _, s := range steps {
		switch d := s.Range.Difference(); {
		case d.Pods > 1:
			came = -1
		case came < 0:
			came = s.Users - at
		}
	}
	return came
}

// silence is after how long the second look is taken at a server whose node says nothing.
const silence = 2 * time.Minute

// stranded is what the progress page tells a user who came after the first ones and was given a node
// that is away: at once, and some time later.
func (r *run) stranded(ctx context.Context, node string, after int) ([]string, error) {
	for i := after; i < r.came; i++ {
		pod, err := r.client.CoreV1().Pods(r.namespace).Get(ctx, spawn.PodName(server.ID{User: user(i)}), metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read the pod of %s: %w", user(i), err)
		}
		if pod.Spec.NodeName != node {
			continue
		}
		at, err := told(pod, time.Now())
		if err != nil {
			return nil, err
		}
		late, err := told(pod, time.Now().Add(silence))
		return []string{at, late}, err
	}
	return nil, fmt.Errorf("no pod is on %s", node)
}
