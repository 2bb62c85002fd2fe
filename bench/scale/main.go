// Command scale measures what a million people cost: the Kubernetes API that knows their pods, one
// xds-server with all of them, one gateway with a tenth of them (pkg/gateway/shard), and the front
// that sends each request to its gateway (envoy/front.yaml).
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/rig"
)

type options struct {
	people, shards, samples, rounds int
	duration                        time.Duration
	gib, core                       float64
	doc                             bool
}

func main() {
	rig.Child()
	var o options
	flag.IntVar(&o.people, "people", 1_000_000, "how many have a running server")
	flag.IntVar(&o.shards, "shards", 10, "gateways that share them")
	flag.IntVar(&o.samples, "samples", 100, "pods that become ready, one after the other")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of requests, with and without the front in turn")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "of a round")
	flag.Float64Var(&o.gib, "gib", 3, "US dollars that a GiB of memory costs a month")
	flag.Float64Var(&o.core, "core", 25, "US dollars that a core costs a month")
	flag.BoolVar(&o.doc, "doc", false, "write docs/scale.md")
	flag.Parse()
	if o.shards < 2 || o.people < 100*o.shards {
		fmt.Fprintln(os.Stderr, "scale: -shards must be 2 or more, with 100 people each")
		os.Exit(2)
	}
	os.Exit(rig.Main("scale", func(r *rig.Rig) error { return run(r, o) }))
}

func run(r *rig.Rig, o options) error {
	b, err := prepare(r, o)
	if err != nil {
		return err
	}
	if err := b.whole(); err != nil {
		return fmt.Errorf("one xds-server for all: %w", err)
	}
	if err := b.part(); err != nil {
		return fmt.Errorf("one gateway of %d: %w", o.shards, err)
	}
	return b.publish()
}
