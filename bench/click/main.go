// Command click measures what a person waits for, on the cluster that `make up` has made: from the
// click on "Start" to the first byte of JupyterLab's page, alone and ten at once; and in Chromium
// until the launcher can be used and the first cell has run, near and by a slow line, with a new
// browser and one that returns. JupyterHub with KubeSpawner is in turns of the same run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/steps"
)

type options struct {
	rounds, alone, crowd int
	kubeconfig, url      string
	cold                 string
	pool, peer, labs     bool
	doc, check           bool
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 3, "rounds that count; a short one before them does not")
	flag.IntVar(&o.alone, "alone", 5, "starts one after the other in each round")
	flag.IntVar(&o.crowd, "crowd", 10, "starts at once in each round; 0 for none")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to reach the cluster with; default $KUBECONFIG, or the one-node cluster's")
	flag.StringVar(&o.url, "url", "http://localhost:8000", "where Perijove answers")
	flag.StringVar(&o.cold, "cold", "", "`profile` without a pool; default the one that the form proposes")
	flag.BoolVar(&o.pool, "pool", true, "measure a profile with a pool too, which is there for this run")
	flag.BoolVar(&o.labs, "labs", true, "measure JupyterLab in Chromium too")
	flag.BoolVar(&o.peer, "jupyterhub", true, "measure JupyterHub too")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plot")
	flag.BoolVar(&o.check, "check", false, "exit 1 when an aim is missed")
	flag.Parse()
	var install []func() error
	if o.peer {
		install = []func() error{rig.InstallCHP, rig.InstallJupyterHub}
	}
	os.Exit(rig.OnMachine("click", func(r *rig.Rig) error { return compare(r, o) }, install...))
}

func compare(r *rig.Rig, o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.clean()) }() //nolint:contextcheck // also after ctx has ended
	if o.pool {
		if c.removePool, err = c.addPool(ctx); err != nil {
			return err
		}
	}
	all, err := c.contestants(ctx, r)
	if err != nil {
		return err
	}
	for i := range o.rounds + 1 {
		for _, one := range all {
			if err := c.measure(ctx, one, i > 0); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
		}
	}
	names, traces := []string{}, []*steps.Trace{}
	for _, one := range all {
		names, traces = append(names, one.name+", alone"), append(traces, one.trace)
	}
	text := clicks(all) + "\n" + labs(all) + "\n" + steps.Table(names, traces)
	fmt.Print(text)
	if o.doc {
		if err := plot(all); err != nil {
			return err
		}
		if err := report.Doc("click", report.Machine(rig.JupyterHubVersion())+conditions(o)+"\n"+text); err != nil {
			return err
		}
	}
	if o.check {
		return verdict(all)
	}
	return nil
}
