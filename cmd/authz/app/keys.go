package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/perijove/perijove/pkg/auth/keyring"
	"github.com/perijove/perijove/pkg/auth/pass"
	"github.com/perijove/perijove/pkg/auth/session"
	"github.com/perijove/perijove/pkg/run/config"
)

// keysEvery is how often the key files are looked at; the kubelet needs longer to bring
// a changed Secret.
const keysEvery = 10 * time.Second

func (c Config) sessionRing() (*session.Ring, error) {
	files, err := keyring.Files(c.SessionKeyFiles, time.Now())
	if err != nil {
		return nil, err
	}
	return loadSessionRing(files)
}

func loadSessionRing(files []string) (*session.Ring, error) {
	secrets, err := readAll(files, func(path string) ([]byte, error) { return config.SecretFile(path, session.MinSecret) })
	if err != nil {
		return nil, err
	}
	return session.NewRing(secrets...)
}

func (c Config) passRing() (*pass.Ring, error) {
	files, err := keyring.Files(c.PassKeyFiles, time.Now())
	if err != nil {
		return nil, err
	}
	return loadPassRing(files)
}

func loadPassRing(files []string) (*pass.Ring, error) {
	pems, err := readAll(files, os.ReadFile)
	if err != nil {
		return nil, err
	}
	return pass.NewRing(pems...)
}

func readAll(files []string, read func(string) ([]byte, error)) ([][]byte, error) {
	var contents [][]byte
	var all []error
	for _, path := range files {
		content, err := read(path)
		contents, all = append(contents, content), append(all, err)
	}
	return contents, errors.Join(all...)
}

// followKeys takes in changed key files until ctx is done.
func followKeys(ctx context.Context, g *errgroup.Group, cfg Config, sessions *session.Ring, passes *pass.Ring, log *slog.Logger) {
	g.Go(func() error {
		keyring.Watch(ctx, cfg.SessionKeyFiles, keysEvery, time.Now, log, func(files []string) error {
			fresh, err := loadSessionRing(files)
			if err == nil {
				sessions.Replace(fresh)
			}
			return err
		})
		return nil
	})
	g.Go(func() error {
		keyring.Watch(ctx, cfg.PassKeyFiles, keysEvery, time.Now, log, func(files []string) error {
			fresh, err := loadPassRing(files)
			if err == nil {
				passes.Replace(fresh)
			}
			return err
		})
		return nil
	})
}
