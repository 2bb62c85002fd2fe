// Command spawn measures servers that are started all at once, on the cluster that `make up` has
// made: bare pods, through Perijove, and through JupyterHub, in turns of one run. All run the same
// image with the same resources, each with a home volume of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/bench/internal/steps"
)

type options struct {
	servers, rounds int
	kubeconfig, url string
	peer            bool
	doc, check      bool
}

func main() {
	o := options{}
	flag.IntVar(&o.servers, "servers", 10, "how many are started at once")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds that count; one before them does not")
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to reach the cluster with; default $KUBECONFIG, or the one-node cluster's")
	flag.StringVar(&o.url, "url", "http://localhost:8000", "where Perijove answers")
	flag.BoolVar(&o.peer, "jupyterhub", true, "measure JupyterHub too")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plot")
	flag.BoolVar(&o.check, "check", false, "exit 1 when Perijove takes too much longer than bare pods")
	flag.Parse()
	var install []func() error
	if o.peer {
		install = []func() error{rig.InstallCHP, rig.InstallJupyterHub}
	}
	os.Exit(rig.OnMachine("spawn", func(r *rig.Rig) error { return compare(r, o) }, install...))
}

// contestant is one way to start servers.
type contestant struct {
	name, namespace string
	trace           *steps.Trace
	// start starts all and returns how long each took to answer.
	start func(context.Context) ([]time.Duration, error)
	// stop stops all and returns when nothing of them is left but their homes.
	stop func(context.Context) error
	// rounds are those that counted.
	rounds []round
	// failed counts starts that failed, of all rounds.
	failed atomic.Int64
}

// round is how long each server of one round took, the quickest first.
type round []time.Duration

func compare(r *rig.Rig, o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.clean()) }() //nolint:contextcheck // also after ctx has ended
	ours, err := c.perijove(ctx)
	if err != nil {
		return err
	}
	// The first start of ours makes the pod whose image and resources the others get.
	if err := ours.measure(ctx, c.client, false); err != nil {
		return err
	}
	bare, err := c.bare(ctx)
	if err != nil {
		return err
	}
	all := []*contestant{bare, ours}
	if o.peer {
		hub, err := c.jupyterHub(r)
		if err != nil {
			return err
		}
		all = append(all, hub)
	}
	for i := range o.rounds + 1 {
		for _, one := range all {
			if err := one.measure(ctx, c.client, i > 0); err != nil {
				return err
			}
		}
	}
	var names []string
	var traces []*steps.Trace
	for _, one := range all {
		names, traces = append(names, one.name), append(traces, one.trace)
	}
	text := table(all) + "\n" + steps.Table(names, traces)
	fmt.Print(text)
	if o.doc {
		if err := plot(all, o); err != nil {
			return err
		}
		if err := report.Doc("spawn", report.Machine(rig.JupyterHubVersion())+conditions(o)+"\n"+text); err != nil {
			return err
		}
	}
	if o.check {
		return verdict(ours, bare)
	}
	return nil
}

// measure is one round.
func (c *contestant) measure(ctx context.Context, client kubernetes.Interface, counts bool) error {
	if c.trace == nil {
		c.trace = steps.New()
	}
	stop, err := c.trace.Watch(ctx, client, c.namespace)
	if err != nil {
		return err
	}
	c.trace.Begin(counts)
	took, err := c.start(ctx)
	stop()
	if err != nil {
		return fmt.Errorf("%s: start: %w", c.name, err)
	}
	if counts {
		c.rounds = append(c.rounds, took)
	}
	fmt.Fprintf(os.Stderr, "%s: all answer after %.2f s\n", c.name, round(took).last().Seconds())
	if err := c.stop(ctx); err != nil {
		return fmt.Errorf("%s: stop: %w", c.name, err)
	}
	return nil
}
