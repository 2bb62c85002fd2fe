// Command xds-server tells Envoys which servers exist: it watches labelled pods
// and pushes one route per user over delta ADS.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/cmd/xds-server/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
