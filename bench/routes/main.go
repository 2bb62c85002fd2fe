// Command routes measures how fast, how small and at what cost routes reach Envoy: from a
// pod's change in a real API server to the first answer, memory and processor time per
// user, bytes per change, and a restart.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/perijove/perijove/bench/internal/rig"
)

type options struct {
	sizes    []int
	samples  int
	profiles string
	chp      bool
	check    bool
	doc      bool
}

func main() {
	rig.Child()
	var o options
	sizes := flag.String("users", "100,1000,10000,100000", "numbers of users that have a route")
	flag.IntVar(&o.samples, "samples", 200, "pods that become ready, one after the other, for each figure")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` for profiles of the xds-server's heap")
	flag.BoolVar(&o.doc, "doc", false, "write docs/performance.md and docs/performance/")
	flag.BoolVar(&o.check, "check", false, "exit 1 when a change costs more than it may")
	flag.BoolVar(&o.chp, "chp", true, "measure configurable-http-proxy beside it")
	flag.Parse()
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "routes: -users: %q is no number of users\n", s)
			os.Exit(2)
		}
		o.sizes = append(o.sizes, n)
	}
	os.Exit(rig.Main("routes", func(r *rig.Rig) error { return run(r, o) }, rig.InstallCHP))
}

func run(r *rig.Rig, o options) error {
	b, err := prepare(r, o)
	if err != nil {
		return err
	}
	var rows []row
	for _, n := range o.sizes {
		begin := time.Now()
		row, err := b.size(n)
		if err != nil {
			return fmt.Errorf("%d users: %w", n, err)
		}
		fmt.Fprintf(os.Stderr, "%d users measured in %s\n", n, time.Since(begin).Round(time.Second))
		rows = append(rows, row)
	}
	if o.check {
		return check(rows)
	}
	return publish(o, rows)
}
