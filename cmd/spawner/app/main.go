package app

import (
	"context"
	"io"

	"github.com/perijove/perijove/pkg/run"
)

// Main runs the service; see run.Main for the exit code.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	return run.Main(ctx, "spawner", args, stderr, Defaults(), Run)
}
