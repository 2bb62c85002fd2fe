package main

import (
	"context"
	"time"

	"github.com/perijove/perijove/bench/internal/installed"
	"github.com/perijove/perijove/bench/internal/peer"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/visitor"
)

// jupyterHub runs hub and proxy on the machine, and its servers' pods on the cluster.
func (c *cluster) jupyterHub(r *rig.Rig) (*contestant, error) {
	hub, err := peer.Start(r, c.platform.Kubeconfig, c.like)
	if err != nil {
		return nil, err
	}
	var people []*visitor.Visitor
	one := &contestant{name: "JupyterHub", namespace: peer.Namespace}
	one.start, one.stop = func(ctx context.Context) ([]time.Duration, error) {
		if people == nil {
			if people, err = installed.LogIn(ctx, visitor.Site{Base: "http://" + hub.Addr, Addr: hub.Addr, Click: time.Second}, c.people()); err != nil {
				return nil, err
			}
		}
		return one.press(ctx, people)
	},
		func(ctx context.Context) error {
			if _, err := each(ctx, c.servers, func(ctx context.Context, i int) (time.Duration, error) { return 0, peer.Stop(ctx, hub, user(i)) }); err != nil {
				return err
			}
			return c.gone(ctx, peer.Namespace)
		}
	return one, nil
}
