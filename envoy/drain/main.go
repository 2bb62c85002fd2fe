// Command drain takes an Envoy out of service: the preStop hook of its container.
// It returns when no client is served any more, or the time is over; Envoy then may stop.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/perijove/perijove/envoy/drain/app"
	"github.com/perijove/perijove/pkg/contract"
)

func main() {
	admin := flag.String("admin", "127.0.0.1:9901", "`address` of Envoy's admin port")
	limit := flag.Duration("limit", 30*time.Second, "longest wait for open requests and websockets")
	settle := flag.Duration("settle", 5*time.Second, "how long new clients may still come")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	left, err := app.Run(ctx, app.Options{
		Admin: *admin, StatPrefix: contract.ListenerName, Settle: *settle, Limit: *limit, Poll: time.Second,
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "drain:", err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "drain: %d requests left\n", left)
}
