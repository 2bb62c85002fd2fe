package order

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"time"
)

// Why a pod did not take an order, or is not ready for one.
var (
	// ErrRefused means that nothing listens: the process still imports, or it has its order and is not yet the server.
	ErrRefused = errors.New("the pod refuses connections")
	// ErrTaken means that the process has another order, or that it is the server already.
	ErrTaken = errors.New("the pod has its order")
	// ErrKey means that the process waits for another key.
	ErrKey = errors.New("the pod has another key")
	// ErrGone means that no answer came: the pod is gone, does not answer in time, or cannot prove which pod it is.
	ErrGone = errors.New("the pod does not answer")
)

const (
	pathReady = "/perijove/ready"
	pathOrder = "/perijove/order"
	// waits is the Server header of a process that waits. What has another one is no longer, or never was, such a process.
	waits = "perijove-waiting"
	// patience is for a whole exchange: a process that waits answers within milliseconds.
	patience = 5 * time.Second
)

// Ready asks the process at origin (scheme, host and port) whether it has imported everything and waits. The client
// follows no redirects and checks the pod's proof where it has one.
func Ready(ctx context.Context, client *http.Client, origin, key string) error {
	return ask(ctx, client, http.MethodGet, origin+pathReady, key, nil, http.StatusNoContent)
}

// Send gives the process at origin its order. Without an error it has it, and nobody else's will be taken. After ErrGone
// it may have it: Ready tells.
func Send(ctx context.Context, client *http.Client, origin, key string, o Order) error {
	body, err := o.encode()
	if err != nil {
		return err
	}
	return ask(ctx, client, http.MethodPost, origin+pathOrder, key, body, http.StatusAccepted)
}

func ask(ctx context.Context, client *http.Client, method, url, key string, body []byte, want int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("address a waiting pod: %w", err)
	}
	// A body that cannot be read again, and a connection of its own: net/http sends a request that failed again if it may.
	req.GetBody, req.Close = nil, true
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return ErrRefused
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.Header.Get("Server") != waits {
		return ErrTaken
	}
	return judge(resp, want)
}

func judge(resp *http.Response, want int) error {
	switch resp.StatusCode {
	case want:
		return nil
	case http.StatusUnauthorized:
		return ErrKey
	case http.StatusConflict:
		return ErrTaken
	}
	const most = 500
	why, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // a line of the chart's program, which knows no secret's value
	return fmt.Errorf("the waiting pod answers %d: %s", resp.StatusCode, bytes.TrimSpace(why))
}
