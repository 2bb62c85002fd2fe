// Command paper repeats the load experiment of the paper that asked for this platform: ApacheBench
// against the monolith and against the services. It measures one JupyterLab alone, JupyterHub with
// configurable-http-proxy, and Perijove with one and with two replicas, on the cluster that
// `make up` has made, in turns of one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/rest"

	"github.com/perijove/perijove/bench/internal/ab"
	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
)

type options struct {
	load       ab.Load
	rounds     int
	kubeconfig string
	url        string
	peer       bool
	doc, check bool
}

func main() {
	o := options{}
	flag.IntVar(&o.load.Requests, "requests", 20_000, "requests for each page")
	flag.IntVar(&o.load.AtOnce, "at-once", 100, "requests at one time")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to reach the cluster with; default $KUBECONFIG, or the one-node cluster's")
	flag.StringVar(&o.url, "url", "http://localhost:8000", "Perijove's address, as browsers know it")
	flag.BoolVar(&o.peer, "jupyterhub", true, "measure JupyterHub too")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plot")
	flag.BoolVar(&o.check, "check", false, "exit 1 when Perijove is too slow beside the others")
	flag.Parse()
	var install []func() error
	if o.peer {
		install = []func() error{rig.InstallCHP, rig.InstallJupyterHub}
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{}) // of ports that the chart names twice
	os.Exit(rig.OnMachine("paper", func(r *rig.Rig) error { return compare(r, o) }, install...))
}

// contestant is one way to serve the pages.
type contestant struct {
	name string
	// turn readies it for a round; rest has it take no processor until the next.
	turn func(context.Context) error
	rest func()
	// pages are what it serves. A request is made anew for each run: some hold a cookie that lasts a minute.
	pages map[page]func(context.Context) (ab.Target, error)
	runs  map[page][]ab.Result
}

func compare(r *rig.Rig, o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.clean()) }() //nolint:contextcheck // also after ctx has ended
	all, err := c.contestants(ctx, r)
	if err != nil {
		return err
	}
	if o.load.Namespace, err = c.client(ctx); err != nil {
		return err
	}
	for range o.rounds {
		for _, one := range all {
			if err := one.measure(ctx, r.Dir, o.load); err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
		}
	}
	return tell(all, o)
}

// measure is one round.
func (c *contestant) measure(ctx context.Context, dir string, load ab.Load) error {
	if err := c.turn(ctx); err != nil {
		return err
	}
	defer c.rest()
	for _, p := range pages() {
		request := c.pages[p]
		if request == nil {
			continue
		}
		to, err := request(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		body, err := fetch(ctx, to)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		to.Length = len(body)
		result, err := ab.Run(ctx, dir, load, to)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if c.runs == nil {
			c.runs = map[page][]ab.Result{}
		}
		c.runs[p] = append(c.runs[p], result)
		fmt.Fprintf(os.Stderr, "%s, %s: %.0f requests/s, median %.1f ms\n", c.name, p, result.PerSecond, result.Percentiles[50])
	}
	return nil
}

func tell(all []*contestant, o options) error {
	text := table(all)
	fmt.Print(text)
	if o.doc {
		if err := plot(all, o); err != nil {
			return err
		}
		if err := report.JSON("paper.json", figures(all)); err != nil {
			return err
		}
		if err := report.Doc("paper", report.Machine(rig.JupyterHubVersion())+conditions(o)+"\n"+text+plots); err != nil {
			return err
		}
	}
	if o.check {
		return verdict(all)
	}
	return nil
}
