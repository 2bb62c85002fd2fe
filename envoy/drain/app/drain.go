package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// Options say how long to wait for clients.
type Options struct {
	// Admin is the address of Envoy's admin port, host:port.
	Admin string
	// StatPrefix names the HTTP connection manager whose requests count.
	StatPrefix string
	// Settle is how long new clients still find the way here after Envoy said that it
	// is not ready: they are served. Limit bounds the whole wait.
	Settle, Limit time.Duration
	// Poll is how often Envoy is asked.
	Poll time.Duration
}

// adminTimeout bounds one question to Envoy.
const adminTimeout = 5 * time.Second

// Run drains and returns how many requests, open websockets among them, are left when it ends: 0,
// or those that the Limit cut short. An error means that Envoy does not answer, so there is
// nothing to wait for.
func Run(ctx context.Context, o Options) (left int, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	// From here on readiness fails and every reply asks its client to leave
	// (Connection: close, GOAWAY). Open streams, websockets among them, go on.
	if _, err := ask(ctx, http.MethodPost, o.Admin, "/healthcheck/fail"); err != nil {
		return 0, err
	}
	// skip_exit: a client that still connects is served until the end.
	if _, err := ask(ctx, http.MethodPost, o.Admin, "/drain_listeners?graceful&skip_exit"); err != nil {
		return 0, err
	}
	if !sleep(ctx, o.Settle) {
		return o.count(context.WithoutCancel(ctx))
	}
	for {
		left, err := o.count(ctx)
		if err == nil && left == 0 {
			return 0, nil
		}
		if err != nil && ctx.Err() == nil {
			return 0, err
		}
		if !sleep(ctx, o.Poll) {
			return o.count(context.WithoutCancel(ctx))
		}
	}
}

// sleep reports whether d went by before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (o Options) count(ctx context.Context) (int, error) {
	name := "http." + o.StatPrefix + ".downstream_rq_active"
	body, err := ask(ctx, http.MethodGet, o.Admin, "/stats?format=json&filter="+url.QueryEscape("^"+regexp.QuoteMeta(name)+"$"))
	if err != nil {
		return 0, err
	}
	return active(body, name)
}

// active reads one gauge from Envoy's /stats?format=json.
func active(body []byte, name string) (int, error) {
	var page struct {
		Stats []struct {
			Name  string
			Value int
		}
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return 0, fmt.Errorf("read Envoy's statistics: %w", err)
	}
	for _, s := range page.Stats {
		if s.Name == name {
			return s.Value, nil
		}
	}
	return 0, nil // no listener yet: no client is served
}

func ask(ctx context.Context, method, admin, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+admin+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask Envoy: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read Envoy's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: Envoy answers %s", method, path, resp.Status)
	}
	return body, nil
}
