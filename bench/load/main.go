// Command load measures requests per second and latency through the gateway, next to a
// plain Envoy and to other proxies, in interleaved rounds of one run.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/perijove/perijove/bench/internal/rig"
	"github.com/perijove/perijove/test/netns"
)

type options struct {
	quick       bool
	rounds      int
	duration    time.Duration
	connections int
	users       int
}

func main() {
	rig.Child()
	var o options
	flag.BoolVar(&o.quick, "quick", false, "only plain Envoy and ours, small replies over HTTP/1.1")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; medians are reported")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "of one measurement")
	flag.IntVar(&o.connections, "connections", 50, "concurrent connections")
	flag.IntVar(&o.users, "active", 500, "how many users send requests in turn, each with an own pass and pod address; 0 = all that have a route")
	flag.Parse()
	os.Exit(netns.Main(func() int {
		if err := run(o); err != nil {
			fmt.Fprintln(os.Stderr, "load:", err)
			return 1
		}
		return 0
	}))
}
