// Command onenode runs a real one-node Kubernetes on this machine, without Docker. See README.md.
package main

import (
	"context"
	"embed"
	"os"
	"os/signal"
	"syscall"

	"github.com/perijove/perijove/deploy/onenode/app"
)

// sources are what the parts are built from: go.mod pins every version. Tests and test data do not change a build.
//
//go:embed go.mod go.sum programs/*/main.go volumes/doc.go volumes/volumes.go
var sources embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(app.Main(ctx, sources, os.Args[1:], os.Stdout, os.Stderr))
}
