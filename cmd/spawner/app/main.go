package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"go.yaml.in/yaml/v3"
	"k8s.io/klog/v2"

	"github.com/perijove/perijove/pkg/config"
	"github.com/perijove/perijove/pkg/telemetry"
)

// Main runs the spawner with command line args until ctx is done. It returns the exit
// code: 0 after a graceful stop, 1 for a failure, 2 for a wrong command line or
// configuration, whose faults are all written to stderr.
func Main(ctx context.Context, args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("spawner", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "/etc/perijove/spawner.yaml", "configuration file")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	cfg := Defaults()
	err := config.Load(*file, &cfg)
	// Keys of the wrong name or type leave the rest readable: report it all at once.
	if err == nil || errors.As(err, new(*yaml.TypeError)) {
		err = errors.Join(err, cfg.Validate())
	}
	if err != nil {
		fmt.Fprintln(stderr, "spawner:", err)
		return 2
	}
	log := telemetry.NewLogger(stderr, slog.LevelInfo).With("service", "spawner")
	klog.SetSlogLogger(log) // client-go's own lines, in the same form as ours
	if err := Run(ctx, cfg, log); err != nil {
		log.ErrorContext(ctx, "stopped", "error", err)
		return 1
	}
	return 0
}
