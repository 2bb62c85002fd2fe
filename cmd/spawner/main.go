// Command spawner creates notebook pods on demand: JupyterHub's pages and REST paths
// under /hub/, behind the gateway.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/cmd/spawner/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
