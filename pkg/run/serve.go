package run

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
)

// Grace is how long a stopping service waits for requests under way.
const Grace = 10 * time.Second

const unixScheme = "unix:"

// IsUnix reports whether addr is a Unix socket in Listen's notation.
func IsUnix(addr string) bool { return strings.HasPrefix(addr, unixScheme) }

// Listen opens "unix:/path" or "host:port". A Unix socket has mode 0600, so that only the pod's
// own user connects; it replaces one that a killed process left.
func Listen(addr string) (net.Listener, error) {
	path, ok := strings.CutPrefix(addr, unixScheme)
	if !ok {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		return l, nil
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("restrict socket: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at socket: %w", err)
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// ServeHTTP serves h on l until ctx is done, then lets requests finish for Grace. tlsConf may be
// nil (Unix sockets, private ports). It returns nil after a stop by ctx.
func ServeHTTP(ctx context.Context, name string, l net.Listener, tlsConf *tls.Config, h http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           timedBodies(h),
		TLSConfig:         tlsConf,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(quietProbes{log.Handler()}, slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() {
		if tlsConf != nil {
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	log.InfoContext(ctx, "listening", "name", name, "addr", l.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", name, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), Grace)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close()
	}
	return nil
}

// ServeGRPC serves srv on l until ctx is done, then lets calls finish for grace. grace 0 stops
// at once: xDS and other endless streams never finish by themselves.
func ServeGRPC(ctx context.Context, name string, l net.Listener, srv *grpc.Server, grace time.Duration, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	log.InfoContext(ctx, "listening", "name", name, "addr", l.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", name, err)
	case <-ctx.Done():
	}
	force := time.AfterFunc(grace, srv.Stop)
	defer force.Stop()
	if grace == 0 {
		srv.Stop()
		return nil
	}
	srv.GracefulStop()
	return nil
}
