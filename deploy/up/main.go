// Command up is behind `make up`, `make down` and `make deps`. See deploy/up/app.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/deploy/up/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}
