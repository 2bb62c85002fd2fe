// Command balance measures how evenly servers are spread over nodes while users come, until no node
// has room: with the real kube-apiserver and kube-scheduler, the configuration that the chart makes,
// and simulated nodes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/test/chart"
)

type options struct {
	doc, check bool
	real       bool
	url        string
	users      int
}

func main() {
	rig.Child()
	var o options
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plots")
	flag.BoolVar(&o.check, "check", false, "two and ten nodes only; exit 1 when equal nodes differ by more than one pod with spread")
	flag.BoolVar(&o.real, "real", false, "measure real servers at work on the cluster of make up, and nothing else")
	flag.StringVar(&o.url, "url", "http://localhost:8000", "where Perijove answers, with -real")
	flag.IntVar(&o.users, "users", 8, "how many real servers are started")
	flag.Parse()
	if o.real {
		os.Exit(rig.OnMachine("balance", func(*rig.Rig) error { return onMachine(o) }))
	}
	os.Exit(rig.Main("balance", func(r *rig.Rig) error { return measure(r, o) }, rig.InstallKwok, installHelm))
}

func installHelm() error {
	_, err := chart.Helm(rig.Cache("bin"))
	return err
}

// crowds are equal servers, and one large one after each small one, the worst order for a scheduler
// that counts pods.
func crowds(atOnce int) []crowd {
	return []crowd{{"equal servers, 0.1 CPU and 256M each", []string{small}, atOnce}, {"small ones and large ones of 1 CPU and 1G in turn", []string{small, large}, atOnce}}
}

// onMachine measures real servers.
func onMachine(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := measureReal(ctx, o)
	if err != nil {
		return err
	}
	return publishReal(o, r)
}

func measure(r *rig.Rig, o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	platforms := map[string]*platform{}
	for _, strategy := range strategies() {
		p, err := render(strategy)
		if err != nil {
			return err
		}
		platforms[strategy] = p
	}
	w, err := newWorld(r, platforms[spread].site.Namespace)
	if err != nil {
		return err
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	if o.check {
		return w.check(ctx, platforms[spread])
	}
	all, err := w.everything(ctx, platforms)
	if err != nil {
		return err
	}
	return publish(o, all)
}

// check fills two and ten nodes with spread.
func (w *world) check(ctx context.Context, p *platform) error {
	var all []growth
	for _, c := range crowds(1) {
		for _, nodes := range []int{2, 10} {
			g, err := w.grow(ctx, p, c, nodes)
			if err != nil {
				return err
			}
			all = append(all, g)
		}
	}
	fmt.Print(growthTable(all))
	return verdict(all)
}

// atOnce is how many users come at one time: one, where that takes no minutes.
func atOnce(nodes int) int {
	if nodes < 100 {
		return 1
	}
	return nodes / 2
}

// findings are all that was measured.
type findings struct {
	growths  []growth
	outcomes []outcome
	refusals []refusal
}

// everything measures each strategy alone.
func (w *world) everything(ctx context.Context, platforms map[string]*platform) (all findings, err error) {
	for i := range crowds(1) {
		for _, nodes := range []int{2, 10, 100} {
			c := crowds(atOnce(nodes))[i]
			for _, strategy := range strategies() {
				g, err := w.grow(ctx, platforms[strategy], c, nodes)
				if err != nil {
					return all, err
				}
				all.growths = append(all.growths, g)
			}
		}
	}
	for _, in := range incidents() {
		for _, strategy := range strategies() {
			o, err := w.suffer(ctx, platforms[strategy], in)
			if err != nil {
				return all, err
			}
			all.outcomes = append(all.outcomes, o)
		}
	}
	for _, f := range refusals() {
		if err := w.refuse(ctx, platforms[spread], &f); err != nil {
			return all, err
		}
		all.refusals = append(all.refusals, f)
	}
	return all, nil
}
