package oidclogin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/perijove/perijove/pkg/server/access"
)

// keysEvery is how often the provider's keys are fetched at most, whether or not that works.
// Any client may send tokens with unknown key ids to the logout address; that must not turn
// authz into a flood towards the provider (O8).
const keysEvery = 10 * time.Second

// keySet is the provider's keys. It tells a token that is refused from keys that cannot
// be had: the library's verifier turns both into text.
type keySet struct{ remote *oidc.RemoteKeySet }

// noKeys is the context's key of a *error that keySet sets.
type noKeys struct{}

func (k keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	payload, err := k.remote.VerifySignature(ctx, raw)
	var network *url.Error
	if why, ok := ctx.Value(noKeys{}).(*error); ok && (errors.As(err, &network) || ctx.Err() != nil) {
		*why = err
	}
	return payload, err
}

// withKeys runs a check of the library's verifier. Errors: ErrToken,
// access.ErrUnavailable.
func withKeys[T any](ctx context.Context, raw string, verify func(context.Context, string) (T, error)) (T, error) {
	var why error
	token, err := verify(context.WithValue(ctx, noKeys{}, &why), raw)
	switch {
	case err == nil:
		return token, nil
	case why != nil:
		return token, fmt.Errorf("%w: keys: %w", access.ErrUnavailable, quiet(why))
	}
	return token, fmt.Errorf("%w: %w", ErrToken, quiet(err))
}

// keyCache answers repeated requests for the keys from memory for keysEvery.
type keyCache struct {
	next http.RoundTripper
	now  func() time.Time

	mu     sync.Mutex
	tried  time.Time // the last time, or zero
	failed error     // how the last time failed, or nil
	header http.Header
	body   []byte
}

func (c *keyCache) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.tried.IsZero() || now.Sub(c.tried) >= keysEvery {
		c.tried, c.failed = now, c.fetch(r)
	}
	if c.failed != nil {
		return nil, c.failed
	}
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header, Body: io.NopCloser(bytes.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r,
	}, nil
}

// fetch must be called with mu held.
func (c *keyCache) fetch(r *http.Request) error {
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var set struct{ Keys []json.RawMessage }
	if res.StatusCode != http.StatusOK || json.Unmarshal(body, &set) != nil || set.Keys == nil {
		return fmt.Errorf("the provider answers %d and no keys", res.StatusCode)
	}
	c.header, c.body = res.Header, body
	return nil
}
