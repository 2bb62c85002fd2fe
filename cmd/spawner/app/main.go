package app

import (
	"context"
	"io"

	"github.com/perijove/perijove/pkg/service"
)

// Main runs the service; see service.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return service.Main(ctx, "spawner", args, stderr, Defaults(), Run)
}
