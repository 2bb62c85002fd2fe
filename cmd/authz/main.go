// Command authz says who may pass: it answers Envoy's ext_authz checks and serves the
// login and logout pages.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/cmd/authz/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
