package main

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/wrk"
)

// target is one thing that is measured.
type target struct {
	name   string
	addr   string
	active int // users that send requests
	proc   *rig.Proc

	rates, p50s, p99s, cpus []float64
	errors                  int64
}

func run(o options) error {
	r, err := rig.New()
	if err != nil {
		return err
	}
	defer r.Close()
	begin := time.Now()
	sizes := []int{1, 10_000}
	var pods []*corev1.Pod
	for _, n := range sizes {
		pods = append(pods, rig.Pods(namespace(n), n)...)
	}
	k, err := r.StartKube(pods)
	if err != nil {
		return err
	}
	upstream, err := r.StartUpstream()
	if err != nil {
		return err
	}
	plain, err := r.StartPlainEnvoy()
	if err != nil {
		return err
	}
	most := slices.Max(sizes)
	targets := []*target{{name: "plain Envoy, one route", addr: plain.Addr, active: most, proc: plain.Proc}}
	for i, n := range sizes {
		if err := k.Namespace(namespace(n)); err != nil {
			return err
		}
		if i == 0 {
			if _, err := r.Authz(k, namespace(n)); err != nil {
				return err
			}
		}
		g, err := r.Gateway(k, namespace(n))
		if err != nil {
			return err
		}
		targets = append(targets, &target{name: fmt.Sprintf("ours, %d users", n), addr: g.Envoy.Addr, active: n, proc: g.Envoy.Proc})
	}
	k.Pause()
	defer k.Resume()
	fmt.Printf("ready after %s\n", time.Since(begin).Round(100*time.Millisecond))
	for round := range o.rounds {
		cookies, err := r.Passes(0, most) // anew: a pass must not age during the run
		if err != nil {
			return err
		}
		for _, t := range targets {
			if err := t.measure(r, o, cookies, upstream); err != nil {
				return err
			}
		}
		fmt.Printf("round %d:", round+1)
		for _, t := range targets {
			fmt.Printf("  %s %.0f", t.name, t.rates[round])
		}
		fmt.Println()
	}
	base := median(targets[0].rates)
	fmt.Printf("\n%-28s %10s %7s %9s %9s %12s %7s\n", "", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU µs/req", "errors")
	for _, t := range targets {
		fmt.Printf("%-28s %10.0f %7.2f %9.2f %9.2f %12.1f %7d\n", t.name, median(t.rates), median(t.rates)/base,
			median(t.p50s)/1000, median(t.p99s)/1000, median(t.cpus), t.errors)
	}
	return nil
}

func namespace(n int) string { return fmt.Sprintf("users-%d", n) }

// measure does one round. Replies that the upstream did not make are errors: a refusal
// or a redirect is cheap and would look like a fast proxy.
func (t *target) measure(r *rig.Rig, o options, cookies []string, upstream *rig.Upstream) error {
	active := t.active
	if o.users > 0 {
		active = min(active, o.users)
	}
	requests := make([]wrk.Request, active)
	for i := range requests {
		requests[i] = wrk.Request{Path: rig.Path(i), Cookie: cookies[i]}
	}
	load, err := wrk.Prepare(r.Dir, fmt.Sprint("users-", active), rig.Host, requests)
	if err != nil {
		return err
	}
	if _, err := load.Run(t.addr, o.connections, time.Second); err != nil { // connections and caches
		return err
	}
	before, err := upstream.Count()
	if err != nil {
		return err
	}
	cpu := t.proc.CPU()
	result, err := load.Run(t.addr, o.connections, o.duration)
	if err != nil {
		return err
	}
	used := t.proc.CPU() - cpu
	after, err := upstream.Count()
	if err != nil {
		return err
	}
	t.rates = append(t.rates, result.PerSecond())
	t.p50s = append(t.p50s, result.P50)
	t.p99s = append(t.p99s, result.P99)
	t.cpus = append(t.cpus, float64(used.Microseconds())/float64(result.Requests))
	t.errors += result.Errors + max(0, result.Requests-(after-before))
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
