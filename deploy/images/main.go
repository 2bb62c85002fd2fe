// Command images builds the container images without an engine and without a registry.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/deploy/images/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
