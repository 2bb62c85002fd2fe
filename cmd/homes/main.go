// Command homes is the CSI driver for late homes: it gives a pod an empty folder, and binds its user's home into it when
// the spawner has claimed the pod. One runs on each node.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/cmd/homes/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
