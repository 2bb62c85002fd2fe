package run

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"

	"go.yaml.in/yaml/v3"
	"k8s.io/klog/v2"

	"github.com/perijove/perijove/pkg/run/config"
	"github.com/perijove/perijove/pkg/run/telemetry"
)

// Config is a service's whole configuration.
type Config interface {
	// Validate returns every fault at once, each with its key.
	Validate() error
}

// Main runs a service and returns its exit code: 0 after a graceful stop, 1 when it failed, 2
// when its command line or configuration is wrong. It writes all faults of a configuration to
// stderr. cfg holds the defaults; keys of the file replace them.
func Main[C Config](ctx context.Context, name string, args []string, stderr io.Writer, cfg C,
	run func(context.Context, C, *slog.Logger) error,
) int {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", "/etc/perijove/"+name+".yaml", "configuration `file`")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	err := config.Load(*path, &cfg)
	// Keys of the wrong name or type leave the rest readable: report it all at once.
	if err == nil || errors.As(err, new(*yaml.TypeError)) {
		err = errors.Join(err, cfg.Validate())
	}
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 2
	}
	log := telemetry.NewLogger(stderr, slog.LevelInfo).With("service", name)
	klog.SetSlogLogger(log) // client-go's own lines, in the same form as ours
	if err := run(ctx, cfg, log); err != nil {
		log.ErrorContext(ctx, "stopped", "error", err)
		return 1
	}
	return 0
}
