package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perijove/perijove/bench/internal/arrival"
	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/test/wait"
)

// spread is a distribution in milliseconds.
type spread struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	Most float64 `json:"most"`
}

func spreadOf(times []time.Duration) spread {
	if len(times) == 0 {
		return spread{}
	}
	ms := make([]float64, len(times))
	for i, t := range times {
		ms[i] = t.Seconds() * 1000
	}
	return spread{P50: report.Quantile(ms, 0.5), P99: report.Quantile(ms, 0.99), Most: slices.Max(ms)}
}

const changesPerSecond = 50

// measurePropagation lets pods become ready in the API server, one after the other, and
// asks Envoy for each until it answers.
func (b *bench) measurePropagation(g *rig.Gateway, out *row) error {
	var err error
	if b.cookies, err = b.rig.Passes(out.Users, 2*b.samples); err != nil {
		return err
	}
	ns := namespace(out.Users)
	up, down := g.Tap.Up.Load(), g.Tap.Down.Load()
	if out.Idle, out.Stored, err = b.joinAll(g, out.Users, 0); err != nil {
		return err
	}
	if err := settle(g.Tap); err != nil {
		return err
	}
	out.BytesUp, out.BytesDown = float64(g.Tap.Up.Load()-up)/float64(max(1, b.samples)), float64(g.Tap.Down.Load()-down)/float64(max(1, b.samples))

	stop := b.churn(ns, min(out.Users, 2000))
	xds, envoy, begin := g.XDS.CPU(), g.Envoy.CPU(), time.Now()
	busy, _, err := b.joinAll(g, out.Users, b.samples)
	xds, envoy = g.XDS.CPU()-xds, g.Envoy.CPU()-envoy
	changes, failure := stop()
	if err := errors.Join(err, failure); err != nil {
		return err
	}
	changes = max(1, changes+b.samples)
	out.Busy, out.ChangesPerSecond = busy, float64(changes)/time.Since(begin).Seconds()
	out.XDSCPU, out.EnvoyCPU = xds.Seconds()*1000/float64(changes), envoy.Seconds()*1000/float64(changes)
	return nil
}

// joinAll lets one user after the other join: from the call that makes the pod ready to
// Envoy's first good answer, and to the API server's answer, which is a part of it.
func (b *bench) joinAll(g *rig.Gateway, users, first int) (routed, stored spread, err error) {
	var all, api []time.Duration
	for sample := first; sample < first+b.samples; sample++ {
		total, call, err := arrival.Join(b.kube, g.Envoy.Addr, namespace(users), users+sample, b.cookies[sample])
		if err != nil {
			return routed, stored, err
		}
		all, api = append(all, total), append(api, call)
	}
	return spreadOf(all), spreadOf(api), nil
}

// settle waits until nothing has passed between Envoy and the xds-server for a while.
func settle(tap *rig.Wiretap) error {
	const quiet = 300 * time.Millisecond
	last, since := int64(-1), time.Now()
	if !wait.Poll(2*time.Minute, func() bool {
		if now := tap.Up.Load() + tap.Down.Load(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > quiet
	}) {
		return errors.New("bytes still pass between Envoy and the xds-server after 2 minutes")
	}
	return nil
}

// await waits until ok; what says for what.
func await(what string, ok func() bool) error {
	if !wait.Poll(time.Minute, ok) {
		return fmt.Errorf("after a minute still not: %s", what)
	}
	return nil
}

// churn makes pods ready and unready, 50 changes a second, until stop is called, which
// returns how many there were.
func (b *bench) churn(ns string, among int) (stop func() (int, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	type end struct {
		changes int
		err     error
	}
	done := make(chan end, 1)
	go func() {
		tick := time.NewTicker(time.Second / changesPerSecond)
		defer tick.Stop()
		var e end
		for ; ; e.changes++ {
			select {
			case <-ctx.Done():
				done <- e
				return
			case <-tick.C:
			}
			// First one half leaves, then it comes back, and so on.
			i, ready := e.changes%among, (e.changes/among)%2 == 1
			if e.err = arrival.SetReady(b.kube, ns, i, ready); e.err != nil {
				done <- e
				return
			}
		}
	}()
	return func() (int, error) {
		cancel()
		e := <-done
		return e.changes, e.err
	}
}
