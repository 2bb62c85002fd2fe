package main

import (
	"context"
	"errors"
	"fmt"
)

// refusal is a cluster that has no node for a server, and what is said then.
type refusal struct {
	what string
	// nodes are what the cluster has, in turn.
	nodes []size
	slugs []string
	// close says that they are cordoned before anybody comes.
	close bool
	// Fit, Why and Page are those of the growth.
	Fit       int
	Why, Page string
}

func refusals() []refusal {
	memory, cores := size{"16", "1Gi"}, size{"1", "64Gi"}
	return []refusal{
		{what: "no node at all", slugs: []string{small}},
		{what: "memory is taken", nodes: []size{memory, memory}, slugs: []string{small}},
		{what: "processors are taken", nodes: []size{cores, cores}, slugs: []string{small}},
		{what: "one node lacks processors, one memory", nodes: []size{cores, memory}, slugs: []string{small}},
		{what: "nodes smaller than the server", nodes: []size{{"500m", "8Gi"}, {"500m", "8Gi"}}, slugs: []string{large}},
		{what: "pods are as many as kubelets run", nodes: []size{{"16", "64Gi"}}, slugs: []string{small}},
		{what: "all nodes cordoned", nodes: []size{memory, memory}, slugs: []string{small}, close: true},
	}
}

// refuse fills the cluster of a refusal.
func (w *world) refuse(ctx context.Context, p *platform, f *refusal) error {
	r, stop, err := w.start(ctx, p, crowd{f.what, f.slugs, 1}, 0, size{})
	if err != nil {
		return err
	}
	return errors.Join(r.refuse(ctx, f), stop())
}

func (r *run) refuse(ctx context.Context, f *refusal) error {
	for i, has := range f.nodes {
		if err := r.addNode(ctx, nodeName(i), has.cores, has.memory); err != nil {
			return err
		}
	}
	for i := range f.nodes {
		if f.close {
			if err := r.cordon(ctx, nodeName(i)); err != nil {
				return err
			}
		}
	}
	if err := r.fill(ctx); err != nil {
		return fmt.Errorf("%s: %w", f.what, err)
	}
	f.Fit, f.Why, f.Page = r.result.Fit, r.result.Why, r.result.Page
	return nil
}
