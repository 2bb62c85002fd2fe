// Command class measures a class that comes to work: each person logs in, presses Start, follows
// the progress and opens the server, first at Perijove and then at JupyterHub. API server, etcd,
// directory, proxies and hubs are real; nodes and what runs on them are simulated.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/nodes"
	"github.com/perijove/perijove/bench/internal/report"
	"github.com/perijove/perijove/bench/internal/rig"
)

type options struct {
	people        int
	within, click time.Duration
	limit         time.Duration
	pace          nodes.Pace
	peer          bool
	doc, check    bool
	profile       string
}

func main() {
	rig.Child()
	o := options{}
	flag.IntVar(&o.people, "people", 500, "how many come")
	flag.DurationVar(&o.within, "within", 10*time.Second, "they come within this time, evenly")
	flag.DurationVar(&o.click, "click", 5*time.Second, "who is refused clicks again after this time")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "who is not in by then stays out")
	flag.DurationVar(&o.pace.Run, "run", time.Second, "from a pod's binding until its container runs")
	flag.DurationVar(&o.pace.Boot, "boot", time.Second, "from then until its server answers")
	flag.BoolVar(&o.peer, "jupyterhub", true, "measure JupyterHub too")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and its plot")
	flag.BoolVar(&o.check, "check", false, "exit 1 when anybody is refused, anybody is lost although a spawner is killed, or the last is not in within a minute")
	flag.StringVar(&o.profile, "profile", "", "`file` for a profile of a spawner's processor time")
	flag.Parse()
	var install []func() error
	if o.peer {
		install = []func() error{rig.InstallCHP, rig.InstallJupyterHub}
	}
	os.Exit(rig.Main("class", func(r *rig.Rig) error { return run(r, o) }, install...))
}

func run(r *rig.Rig, o options) error {
	ctx := context.Background()
	b, err := build(r, o)
	if err != nil {
		return err
	}
	all, err := b.classes(ctx, o)
	if err != nil {
		return err
	}
	text := table(all)
	fmt.Print(text)
	fmt.Print(verbs(all))
	if o.doc {
		if err := plot(all, o); err != nil {
			return err
		}
		if err := report.Doc("class", report.Machine(rig.JupyterHubVersion())+conditions(o)+"\n"+text); err != nil {
			return err
		}
	}
	if o.check {
		return errors.Join(verdict(all[0], true), verdict(all[1], false))
	}
	return nil
}

// classes are one after the other, ours first.
func (b *machinery) classes(ctx context.Context, o options) (all []outcome, err error) {
	p, err := b.startPerijove(o)
	if err != nil {
		return nil, err
	}
	if o.profile != "" {
		go func() { _ = p.spawners[0].SaveProfile("profile?seconds=20", o.profile) }()
	}
	sites := []func() (outcome, error){
		func() (outcome, error) { return p.class(ctx, o) },
		func() (outcome, error) { defer p.stop(); return p.classKilled(ctx, o) },
	}
	if o.peer {
		sites = append(sites,
			func() (outcome, error) { return b.jupyterHub(ctx, o, true) },
			func() (outcome, error) { return b.jupyterHub(ctx, o, false) })
	}
	for _, site := range sites {
		one, err := site()
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}
