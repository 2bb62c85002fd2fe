package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/assets"
	"github.com/perijove/perijove/pkg/contract"
	"github.com/perijove/perijove/pkg/run"
	"github.com/perijove/perijove/pkg/run/mtls"
	"github.com/perijove/perijove/pkg/run/telemetry"
)

// Run serves until ctx is done.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	trees := load(ctx, cfg.Images, log)
	defer func() {
		for _, tree := range trees {
			_ = tree.Close()
		}
	}()
	conf, err := mtls.Server(cfg.TLS, []string{contract.NameGateway, contract.NameSpawner})
	if err != nil {
		return err
	}
	private, err := run.Listen(cfg.PrivateListen)
	if err != nil {
		return err
	}
	public, err := run.Listen(cfg.Listen)
	if err != nil {
		_ = private.Close()
		return err
	}
	reg := telemetry.NewRegistry()
	const loaded = "files"
	health := telemetry.NewHealth(loaded)
	health.Set(loaded, nil)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return run.ServeHTTP(ctx, "private", private, nil, telemetry.PrivateHandler(health, reg, log), log)
	})
	group.Go(func() error {
		return run.ServeHTTP(ctx, "assets", public, conf, telemetry.HTTP(log, reg, "assets", assets.Handler(trees)), log)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("assets: %w", err)
	}
	return nil
}

// load reads the images' files. An image without files, or with bad ones, is left out: its servers
// send their files themselves, and the other images' do not suffer.
func load(ctx context.Context, images []Image, log *slog.Logger) map[string]*assets.Tree {
	trees := map[string]*assets.Tree{}
	for _, image := range images {
		tree, err := assets.Load(image.Folder)
		switch {
		case err != nil:
			log.ErrorContext(ctx, "the image's files are not served", "image", image.Name, "error", err)
		case tree == nil:
			log.WarnContext(ctx, "the image has no files to serve; docs/images.md says how it gets them", "image", image.Name)
		default:
			trees[image.Name] = tree
			log.InfoContext(ctx, "the image's files are served", "image", image.Name, "digest", tree.Digest(), "files", len(tree.Files()))
		}
	}
	return trees
}
