// Command load measures requests per second and latency through the gateway, next to a
// plain Envoy and to other proxies, in interleaved rounds of one run.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/rig"
)

type options struct {
	quick, check bool
	doc          bool
	rounds       int
	duration     time.Duration
	connections  int
	active       int
	only         string
}

func main() {
	rig.Child()
	var o options
	flag.BoolVar(&o.quick, "quick", false, "only plain Envoy and ours, small replies over HTTP/1.1")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and docs/performance/")
	flag.BoolVar(&o.check, "check", false, "small replies over HTTP/1.1; exit 1 when a ratio is worse than it may be")
	flag.StringVar(&o.only, "only", "", "only workloads and targets whose names contain this `text`, and plain Envoy")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; medians are reported")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "of one measurement")
	flag.IntVar(&o.connections, "connections", 50, "concurrent connections, for HTTP/2 concurrent streams")
	flag.IntVar(&o.active, "active", 500, "how many users send requests in turn, each with an own pass and pod address")
	flag.Parse()
	var install []func() error
	if !o.quick {
		install = append(install, rig.InstallCHP)
	}
	os.Exit(rig.Main("load", func(r *rig.Rig) error { return run(r, o) }, install...))
}

func run(r *rig.Rig, o options) error {
	begin := time.Now()
	s, err := build(r, o)
	if err != nil {
		return err
	}
	defer s.kube.Resume()
	fmt.Fprintf(os.Stderr, "everything runs after %s\n", time.Since(begin).Round(100*time.Millisecond))
	if err := s.rounds(); err != nil {
		return err
	}
	figures := s.figures()
	fmt.Print(table(figures))
	if o.check {
		return check(o, figures)
	}
	if !o.doc {
		return nil
	}
	return publish(o, figures)
}
